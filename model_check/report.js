"use strict";
// Beside the steps of a story stands the diagram of the table that has just moved. A click or an arrow key chooses a
// step; its address leads back to it. The diagrams at the end of the page are copied as they are needed.

const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

function make(name, text, classes = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = classes;
  return element;
}

// By state the first picture in which it stands: details come before whole tables.
const homes = new Map();
for (const node of document.querySelectorAll("figure [data-state][id]")) {
  if (!homes.has(node.dataset.state)) homes.set(node.dataset.state, node.closest("figure").id);
}

// The picture for a machine: where the row that moved it stands, or else its state.
function homeOf(field, scene) {
  const state = scene.at[field];
  const row = scene.moved.includes(field) && scene.rows.find((each) => each.split(".")[0] === state.split("/")[0]);
  const edge = row && document.querySelector(`figure .edge[data-rows~="${row}"]`);
  return edge ? edge.closest("figure").id : homes.get(state);
}

function copyOf(picture) {
  const drawn = document.getElementById(picture)?.querySelector("svg")?.cloneNode(true);
  drawn?.querySelectorAll("[id]").forEach((element) => element.removeAttribute("id"));
  return drawn;
}

function mark(drawn, scene) {
  const here = new Set(Object.values(scene.at));
  const now = new Set(scene.now);
  for (const node of drawn.querySelectorAll("[data-state]")) {
    node.classList.toggle("here", here.has(node.dataset.state));
    node.classList.toggle("now", now.has(node.dataset.state));
  }
  for (const part of drawn.querySelectorAll("[data-rows]")) {
    part.classList.toggle("fired", part.dataset.rows.split(" ").some((row) => scene.rows.includes(row)));
  }
}

function bringToView(box, part) {
  if (!part) return;
  const outer = box.getBoundingClientRect();
  const inner = part.getBoundingClientRect();
  box.scrollBy(
    inner.left + inner.width / 2 - outer.left - outer.width / 2,
    inner.top + inner.height / 2 - outer.top - outer.height / 2,
  );
}

function prepare(story) {
  const run = story.querySelector(".run");
  const steps = [...story.querySelectorAll(".step")];
  const scenes = steps.map((step) => JSON.parse(step.dataset.step));
  const [caption, machines, box] = [".caption", ".machines", ".pane .scroll"].map((part) => story.querySelector(part));
  const again = story.dataset.again ? Number(story.dataset.again) : steps.length - 1;
  let chosen = 0;
  let shown = "";

  function draw(picture, scene) {
    if (picture !== shown) box.replaceChildren(...[copyOf(picture)].filter(Boolean));
    shown = picture;
    mark(box, scene);
    bringToView(box, box.querySelector(".edge.fired") ?? box.querySelector(".now") ?? box.querySelector(".here"));
  }

  function machine(field, scene) {
    const item = make("li", "");
    const button = make("button", `${field} `, scene.moved.includes(field) ? "moved" : "");
    const home = homeOf(field, scene);
    button.append(make("b", scene.at[field].replace(/^[^/]*\//, "")));
    button.disabled = !home;
    button.addEventListener("click", () => draw(home, scene));
    item.append(button);
    return item;
  }

  function choose(number, follow) {
    chosen = number;
    const scene = scenes[number];
    run.querySelector("[aria-current]")?.removeAttribute("aria-current");
    steps[number].setAttribute("aria-current", "step");
    caption.textContent = `${steps[number].value}  ${steps[number].querySelector("code").textContent}`;
    machines.replaceChildren(...Object.keys(scene.at).map((field) => machine(field, scene)));
    draw(scene.picture, scene);
    if (follow) {
      const [step, frame] = [steps[number].getBoundingClientRect(), run.getBoundingClientRect()];
      run.scrollBy(0, Math.min(step.top - frame.top, 0) + Math.max(step.bottom - frame.bottom, 0));
      history.replaceState(null, "", `#${steps[number].id}`);
    }
  }

  run.tabIndex = 0;
  run.setAttribute("aria-label", "Steps: choose one with the arrow keys");
  run.addEventListener("click", (event) => {
    const step = event.target.closest(".step");
    if (!step || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(steps.indexOf(step), true);
  });
  run.addEventListener("keydown", (event) => {
    const by = KEYS[event.key];
    if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = chosen + by;
    choose(next >= steps.length && by === 1 ? again : Math.min(Math.max(next, 0), steps.length - 1), true);
  });
  const asked = steps.findIndex((step) => `#${step.id}` === decodeURI(location.hash));
  if (steps.length) choose(Math.max(asked, 0), asked >= 0);
  if (asked >= 0) addEventListener("load", () => story.scrollIntoView());
}

document.documentElement.classList.add("js");
document.querySelectorAll(".story").forEach(prepare);
