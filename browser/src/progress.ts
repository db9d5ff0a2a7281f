/** Named stages with a bar each. */

import { element } from "./dom";
import { Kind, Stage, STAGES } from "./pair";

export interface Progress {
  tell(stage: Stage, share: number): void;
  end(words: string): void;
}

/** Show the stages of a run. */
export function progress(kind: Kind): Progress {
  const stages = STAGES.filter((stage) => kind === "dense" || stage !== "every voxel");
  const list = element("stage-list");
  const items = stages.map((stage) => {
    const item = document.createElement("li");
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.ariaLabel = stage;
    item.append(stage, bar);
    return { item, bar };
  });
  list.replaceChildren(...items.map(({ item }) => item));
  const said = element("said");
  said.textContent = "";
  element("progress").hidden = false;
  const mark = (now: number, share: number) =>
    items.forEach(({ item, bar }, i) => {
      item.className = i < now ? "done" : i === now ? "now" : "";
      bar.value = i < now ? 1 : i === now ? share : 0;
    });
  return {
    tell(stage, share) {
      mark(stages.indexOf(stage), share);
      if (share === 0) said.textContent = `${stage} …`;
    },
    end(words) {
      said.textContent = words;
      if (words.startsWith("Done")) mark(stages.length, 0);
    },
  };
}
