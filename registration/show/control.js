(function () {
  function frames(root) {
    const players = Array.from(root.querySelectorAll(".reg-player"));
    players.forEach(function (player, number) {
      const images = Array.from(player.querySelectorAll(".reg-screen img"));
      const range = player.querySelector("input[type=range]");
      const output = player.querySelector("output");
      const button = player.querySelector("button");
      const lines = root.querySelectorAll('.reg-line[data-of="' + number + '"]');
      let timer = null;
      function show() {
        const index = Number(range.value);
        images.forEach(function (image, i) {
          image.classList.toggle("reg-shown", i === index);
        });
        const current = images[index];
        output.textContent = current.dataset.label;
        range.setAttribute("aria-valuetext", current.dataset.label);
        lines.forEach(function (line) {
          const at = 100 * Number(current.dataset.at);
          if (line.dataset.up) { line.style.top = 100 - at + "%"; }
          else { line.style.left = at + "%"; }
        });
      }
      function stop() {
        clearInterval(timer);
        timer = null;
        button.textContent = "▶ Play";
      }
      function step() {
        if (!root.isConnected) { return stop(); }
        range.value = (Number(range.value) + 1) % images.length;
        show();
      }
      range.addEventListener("input", function () {
        if (timer !== null) { stop(); }
        show();
      });
      if (button) {
        button.addEventListener("click", function () {
          if (timer !== null) { return stop(); }
          button.textContent = "❚❚ Pause";
          timer = setInterval(step, Number(root.dataset.interval));
        });
      }
      images.forEach(function (image) { image.decode().catch(function () {}); });
      show();
    });
    function choose(number) {
      players.forEach(function (player, i) { player.hidden = i !== number; });
    }
    root.querySelectorAll(".reg-choice input").forEach(function (radio) {
      radio.addEventListener("change", function () { choose(Number(radio.value)); });
      choose(0);
    });
  }

  function compare(root) {
    const screen = root.querySelector(".reg-screen");
    const images = screen.querySelectorAll("img");
    const range = root.querySelector("input[type=range]");
    const output = root.querySelector("output");
    let timer = null;
    function chosen(name) {
      return root.querySelector("." + name + " input:checked").value;
    }
    function show() {
      const mode = chosen("reg-mode");
      const over = images[Number(chosen("reg-moved"))];
      const value = Number(range.value);
      clearInterval(timer);
      screen.classList.toggle("reg-board", mode === "checkerboard");
      images.forEach(function (image, i) {
        image.classList.toggle("reg-shown", i === 0);
        image.classList.toggle("reg-over", image === over);
        image.style.opacity = 1;
      });
      if (mode === "blend") {
        over.style.opacity = value / 10;
        output.textContent = value * 10 + " % moved";
      } else if (mode === "checkerboard") {
        const squares = 2 + value * 2;
        screen.style.setProperty("--tile", screen.clientWidth * 2 / squares + "px");
        output.textContent = squares + " squares across";
      } else {
        const pause = 1500 - value * 100;
        output.textContent = "every " + (pause / 1000).toFixed(1) + " s";
        timer = setInterval(function () {
          if (!root.isConnected) { return clearInterval(timer); }
          over.style.opacity = over.style.opacity === "0" ? 1 : 0;
        }, pause);
      }
      range.setAttribute("aria-valuetext", output.textContent);
    }
    root.querySelectorAll("input").forEach(function (input) {
      input.addEventListener("input", show);
    });
    show();
  }

  let controls = Number(document.documentElement.dataset.regControls || 0);

  function start(tries) {
    const waiting = document.querySelectorAll(".reg-control:not(.reg-on)");
    waiting.forEach(function (root) {
      root.classList.add("reg-on");
      controls += 1;
      document.documentElement.dataset.regControls = controls;
      // Without this JupyterLab takes the arrow keys for itself.
      root.querySelectorAll("input, button").forEach(function (element) {
        element.setAttribute("data-lm-suppress-shortcuts", "true");
      });
      root.querySelectorAll("input[type=radio]").forEach(function (radio) {
        radio.name += controls;
      });
      root.querySelectorAll("input[type=radio]").forEach(function (radio) {
        radio.checked = radio.defaultChecked;
      });
      root.querySelectorAll(".reg-show").forEach(function (element) {
        element.style.removeProperty("display");
      });
      root.querySelectorAll(".reg-screen img").forEach(function (image) {
        image.removeAttribute("width");
        image.removeAttribute("style");
      });
      if (root.classList.contains("reg-compare")) { compare(root); } else { frames(root); }
    });
    if (!waiting.length && tries) { setTimeout(function () { start(tries - 1); }, 50); }
  }
  start(40);
})();
