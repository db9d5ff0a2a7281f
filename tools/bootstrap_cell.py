# Find the repository. On Google Colab: fetch it, and install what is missing.
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

url = os.environ.get("REGISTRATION_URL", "")
url = url or "https://github.com/your_name/registration"
places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "registration"]
root = next((p for p in places if (p / "helpers/backend.py").exists()), places[-1])
if find_spec("google") and find_spec("google.colab"):
    if not (root / "helpers").exists():
        subprocess.run(["git", "clone", "--quiet", "--depth=1", url, root], check=True)
    subprocess.run([sys.executable, root / "tools/install_missing.py"], check=True)
sys.path.insert(0, str(root))
