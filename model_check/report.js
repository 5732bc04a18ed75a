// A story's step is chosen by a click or the arrow keys; the diagrams beside it show where each daemon then is.
for (const story of document.querySelectorAll(".story")) {
  const steps = [...story.querySelectorAll("li")];
  const show = (at) => {
    if (at < 0 || at >= steps.length) return;
    steps.forEach((step, number) => step.setAttribute("aria-current", number === at ? "step" : "false"));
    const row = steps[at].dataset.row;
    const state = steps[at].dataset.state;
    for (const picture of story.querySelectorAll("figure")) {
      picture.hidden = picture.dataset.table !== row.split(".")[0] || !state;
      for (const group of picture.querySelectorAll("g.node, g.edge")) {
        const title = group.querySelector("title").textContent;
        group.classList.toggle("here", title === state);
        group.classList.toggle("gone", title.endsWith("->" + state) && title.startsWith(steps[at].dataset.from));
      }
    }
    steps[at].scrollIntoView({ block: "nearest" });
    story.dataset.at = at;
  };
  steps.forEach((step, number) => step.addEventListener("click", () => show(number)));
  story.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (by) { event.preventDefault(); show(Number(story.dataset.at || 0) + by); }
  });
  show(steps.length - 1);
}
