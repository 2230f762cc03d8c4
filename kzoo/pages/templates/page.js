// Draws each chart when it comes near the window, in the reader's theme, and again when that changes.
(() => {
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const theme = () => themes[dark.matches ? "dark" : "light"];
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Set();
  const draw = (node) => {
    if (drawn.has(node)) return;
    drawn.add(node);
    const { data, layout } = JSON.parse(node.nextElementSibling.textContent);
    // On a touch screen a drag scrolls the page.
    Plotly.newPlot(node, data, { ...layout, template: theme(), dragmode: touch ? false : "zoom" }, {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch ? false : "hover",
      // A page sends nothing anywhere.
      showSendToCloud: false,
      modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    });
  };
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "400px" },
  );
  plots.forEach((node) => near.observe(node));
  dark.addEventListener("change", () => drawn.forEach((node) => Plotly.relayout(node, { template: theme() })));
  addEventListener("beforeprint", () => plots.filter((node) => node.checkVisibility()).forEach(draw));
})();
