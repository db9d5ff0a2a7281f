"""What a reader does with a slider, and what must be seen then."""

IDLE = (
    "jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
    "?.status === 'idle'"
)
TIMER = """(range) => new Promise((done) => {
  let start = null;
  range.addEventListener("keydown", (event) => { start = event.timeStamp; },
                         { once: true, capture: true });
  range.addEventListener("input", () => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now() - start);
    channel.port2.postMessage(0);
  }), { once: true });
})"""


def run_all(page):
    """Run every cell of the open notebook."""
    page.wait_for_function(IDLE, timeout=60000)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")


def restart_kernel(page):
    """Restart the kernel as a reader does, and wait until it has come back."""
    page.evaluate("void jupyterapp.commands.execute('kernelmenu:restart')")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    page.wait_for_function(IDLE, timeout=60000)


def control(page, title):
    """Return the slider control whose title begins with `title`, in view."""
    found = page.locator(f'.reg-control[aria-label^="{title}"]').last
    found.scroll_into_view_if_needed()
    found.locator("input[type=range]").first.wait_for(state="visible")
    return found


def seen(control_):
    """Return the pixels of the control's first screen."""
    return control_.locator(".reg-screen:visible").first.screenshot()


def focus(page, range_):
    """Give a slider the keyboard; JupyterLab may take it back once after a dialog."""
    for _ in range(20):
        range_.focus()
        page.wait_for_timeout(50)
        if range_.evaluate("(range) => range === document.activeElement"):
            return
    raise AssertionError("the slider does not get the keyboard")


def moves_by_keyboard(page, control_):
    """Press an arrow key on the slider and see another picture."""
    range_ = control_.locator("input[type=range]:visible").first
    before, value = seen(control_), range_.input_value()
    focus(page, range_)
    back = value == range_.get_attribute("max")
    page.keyboard.press("ArrowLeft" if back else "ArrowRight")
    assert range_.input_value() != value
    assert seen(control_) != before


def moves_by_mouse(page, control_):
    """Drag the slider's handle to the other half and see another picture."""
    range_ = control_.locator("input[type=range]:visible").first
    before, box = seen(control_), range_.bounding_box()
    last = float(range_.get_attribute("max"))
    start, end = (0.5, 0.9) if float(range_.input_value()) < last / 2 else (0.5, 0.1)
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, height)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, height)
    page.mouse.up()
    assert seen(control_) != before


def frame_times(page, control_, presses=20):
    """Return the milliseconds from each key press to the painted frame."""
    range_ = control_.locator("input[type=range]:visible").first
    focus(page, range_)
    page.keyboard.press("Home")
    times, key = [], "ArrowRight"
    for _ in range(presses):
        if range_.input_value() == range_.get_attribute("max"):
            key = "ArrowLeft"
        elif range_.input_value() == "0":
            key = "ArrowRight"
        waiting = range_.evaluate_handle(f"(range) => ({{ time: ({TIMER})(range) }})")
        page.keyboard.press(key)
        times.append(waiting.evaluate("(holder) => holder.time"))
    return times
