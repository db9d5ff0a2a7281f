/** The page: choose two files, register, look, take the results home. */

import { builtIn, chosen, Chosen, described, droppable, Role } from "./chosen";
import { element } from "./dom";
import { cancel, Cancelled, registered } from "./jobs";
import { megabytes } from "./memory";
import { Device, Kind, overlaps } from "./pair";
import { progress } from "./progress";
import { graphics } from "./runtime";
import { clear, show } from "./shown";
import { WrongInput } from "./wrong";

const ROLES: Role[] = ["fixed", "moving"];
const start = element<HTMLButtonElement>("start");
const stop = element<HTMLButtonElement>("cancel");
const files: Partial<Record<Role, Chosen>> = {};
const drawn = element<HTMLInputElement>("file-labels");
let labels: Chosen | undefined;
const NO_LABELS = element("about-labels").textContent;

function complain(error: unknown): void {
  const place = element("wrong");
  if (error instanceof WrongInput) place.textContent = error.message;
  else place.textContent = `Something is wrong with this page: ${(error as Error).message}`;
  place.hidden = false;
}

function quiet(): void {
  element("wrong").hidden = true;
}

async function take(role: Role, file: File): Promise<void> {
  quiet();
  try {
    keep(role, await chosen(file, file.name));
  } catch (error) {
    delete files[role];
    element(`about-${role}`).textContent = "Or drop a .nii or .nii.gz file here.";
    element(`drop-${role}`).classList.remove("full");
    ready();
    complain(error);
  }
}

function keep(role: Role, file: Chosen): void {
  files[role] = file;
  if (role === "moving") forgetLabels();
  element(`about-${role}`).textContent = `${file.name}: ${described(file)}`;
  element(`drop-${role}`).classList.add("full");
  ready();
}

/** Keep a label map; one of another grid is refused when the scan is read. */
async function takeLabels(file: File): Promise<void> {
  quiet();
  forgetLabels();
  try {
    labels = await chosen(file, file.name);
    element("about-labels").textContent = `${labels.name}: ${described(labels)}`;
  } catch (error) {
    complain(error);
  }
}

function forgetLabels(): void {
  labels = undefined;
  drawn.value = "";
  element("about-labels").textContent = NO_LABELS;
}

/** Say what it will take, once both files are known. */
function ready(): void {
  const { moving, fixed } = files;
  start.disabled = !(moving && fixed);
  if (!moving || !fixed) return;
  const [one, two] = [moving.header, fixed.header];
  const apart = overlaps(one, two)
    ? ""
    : " By their headers the two scans do not overlap: they are brought together by " +
      "their centres of mass. Look at the result with care.";
  element("needs").textContent =
    `Needs about ${megabytes(one, two)} MB of memory in this browser.${apart}`;
}

async function run(): Promise<void> {
  const { moving, fixed } = files;
  if (!moving || !fixed) return;
  quiet();
  clear();
  const kind = element<HTMLSelectElement>("kind").value as Kind;
  const refine = element<HTMLInputElement>("refine").checked;
  const bars = progress(kind);
  busy(true);
  try {
    await cached();
    const options = { kind, refine, labels: labels && plain(labels) };
    const device = element<HTMLSelectElement>("device").value as Device;
    const wish = { kind: "register" as const, options, device };
    const inputs = { moving: plain(moving), fixed: plain(fixed) };
    const { result, threads } = await registered({ ...wish, ...inputs }, bars.tell);
    bars.end("Done.");
    await show(result, threads);
  } catch (error) {
    bars.end(error instanceof Cancelled ? "Cancelled." : "Stopped.");
    if (!(error instanceof Cancelled)) complain(error);
  } finally {
    busy(false);
    if (document.activeElement === document.body) start.focus();
  }
}

function plain({ file, name }: Chosen): { file: Blob; name: string } {
  return { file, name };
}

function busy(now: boolean): void {
  stop.hidden = !now;
  start.disabled = now;
  element("pairs").querySelectorAll("button").forEach((button) => (button.disabled = now));
  if (now) stop.focus();
}

/** Wait a moment for what keeps the files for the next time. */
async function cached(): Promise<void> {
  if (!navigator.serviceWorker) return;
  await Promise.race([navigator.serviceWorker.ready, new Promise((done) => setTimeout(done, 2000))]);
}

for (const role of ROLES) {
  const input = element<HTMLInputElement>(`file-${role}`);
  input.addEventListener("change", () => input.files?.[0] && take(role, input.files[0]));
  droppable(element(`drop-${role}`), async (dropped) => {
    const other: Role = role === "fixed" ? "moving" : "fixed";
    if (dropped[0]) await take(role, dropped[0]);
    if (dropped[1]) await take(other, dropped[1]);
  });
}

drawn.addEventListener("change", () => drawn.files?.[0] && takeLabels(drawn.files[0]));
element("pairs").addEventListener("click", async (event) => {
  const pair = (event.target as HTMLElement).dataset?.pair;
  if (!pair) return;
  quiet();
  try {
    const both = await builtIn(pair);
    ROLES.forEach((role) => keep(role, both[role]));
    start.focus();
  } catch (error) {
    complain(error);
  }
});
start.addEventListener("click", run);
stop.addEventListener("click", cancel);
void graphics().then((found) => {
  element("device-row").hidden = found === "none";
  if (found === "card") element<HTMLSelectElement>("device").value = "card";
});
navigator.serviceWorker?.register("sw.js").catch(() => undefined);
