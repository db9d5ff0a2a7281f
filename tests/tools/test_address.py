import subprocess

import pytest

from tools import address


def repository(folder, **remotes):
    """Make a git repository with remotes and return its folder."""
    folder.mkdir()
    subprocess.run(["git", "init", "-q", folder], check=True)
    for name, url in remotes.items():
        subprocess.run(["git", "-C", folder, "remote", "add", name, url], check=True)
    return folder


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/some.one/else-where",
        "https://github.com/some.one/else-where.git",
        "https://github.com/some.one/else-where/",
        "https://name:secret@github.com/some.one/else-where.git",
        "git@github.com:some.one/else-where.git",
        "ssh://git@github.com/some.one/else-where.git",
        "ssh://git@ssh.github.com:443/some.one/else-where.git",
    ],
)
def test_every_form_of_a_github_remote_gives_owner_and_name(url):
    assert address.parsed(url) == "some.one/else-where"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/git/else-where.git",
        "../else-where",
        "https://gitlab.com/some.one/else-where.git",
        "https://github.com.example.org/some.one/else-where",
        "https://github.com/some.one",
        "https://github.com/some.one/else-where/tree/main",
    ],
)
def test_other_remotes_give_nothing(url):
    assert address.parsed(url) == ""


def test_origin_comes_before_other_remotes(tmp_path):
    folder = repository(
        tmp_path / "a",
        fork="git@github.com:some.one/fork.git",
        origin="https://github.com/some.one/first",
    )
    assert address.remote(folder) == "some.one/first"


def test_where_origin_is_no_github_address_another_remote_serves(tmp_path):
    folder = repository(
        tmp_path / "a", origin="/srv/git", hub="https://github.com/some.one/hub.git"
    )
    assert address.remote(folder) == "some.one/hub"


def test_without_a_remote_without_git_and_inside_another_repository_there_is_none(
    tmp_path, monkeypatch
):
    folder = repository(tmp_path / "outer", origin="https://github.com/some.one/outer")
    inner = folder / "inner"
    inner.mkdir()
    assert address.remote(inner) == ""
    assert address.remote(repository(tmp_path / "lonely")) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert address.remote(folder) == ""


def test_what_is_stated_comes_before_the_remote(tmp_path, monkeypatch):
    cell = tmp_path / "cell.py"
    monkeypatch.setattr(address, "BOOTSTRAP", cell)
    monkeypatch.setattr(address, "remote", lambda: "some.one/remote")
    cell.write_text(f'url = "https://github.com/{address.PLACEHOLDER}"\n')
    assert address.written() == address.PLACEHOLDER
    assert (address.stated(), address.known()) == ("", "some.one/remote")
    cell.write_text('url = "https://github.com/some.one/stated"\n')
    assert address.stated() == address.known() == "some.one/stated"


def test_the_pages_of_a_repository_lie_below_its_owner():
    assert address.site("Some/thing") == "https://some.github.io/thing/"
    assert address.site("Some/some.github.io") == "https://some.github.io/"
