// Draws the learning curves as SVG. Shows the value nearest to the pointer; names and buttons hide and show lines.
(() => {
  const add = (parent, tag, attributes = {}, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    node.textContent = text;
    return parent.appendChild(node);
  };
  const short = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(0) : String(+value.toPrecision(4)));

  // Round values between two bounds: in steps of 1, 2 or 5 times a power of ten; on a logarithmic axis, powers of ten, over
  // a short range also 2 and 5 times them.
  const ticks = (low, high, count, log) => {
    if (log) {
      const first = Math.floor(Math.log10(low)), powers = Math.ceil(Math.log10(high)) - first;
      const marks = powers > 2 ? [1] : [1, 2, 5];
      return [...Array(powers + 1).keys()].flatMap((i) => marks.map((mark) => mark * 10 ** (first + i)))
        .filter((value) => value >= low / 1.01 && value <= high * 1.01);
    }
    const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((mark) => mark * power >= rough);
    const first = Math.ceil(low / step - 1e-9);
    return [...Array(Math.floor(high / step + 1e-9) - first + 1).keys()].map((i) => (first + i) * step);
  };

  const setUp = (node) => {
    const chart = JSON.parse(node.nextElementSibling.textContent);
    const names = [...node.parentElement.querySelectorAll(".names button")];
    const kinds = [...node.parentElement.querySelectorAll(".kinds button")];
    const hidden = new Set();
    let kind = "", points = [], svg;
    const tip = node.appendChild(Object.assign(document.createElement("div"), { className: "tip", hidden: true }));

    const draw = () => {
      const shown = chart.lines.filter((line) => !hidden.has(line.name) && (!kind || line.kind === kind));
      const values = shown.flatMap((line) => line.y).filter((y) => y !== null && (!chart.log || y > 0));
      const epochs = Math.max(2, ...chart.lines.map((line) => line.y.length));
      let low = values.length ? values.reduce((a, b) => Math.min(a, b)) : 0;
      let high = values.length ? values.reduce((a, b) => Math.max(a, b)) : 1;
      if (chart.zero) low = Math.min(low, 0);
      const room = chart.log ? 0 : (high - low || Math.abs(high) || 1) * 0.05;
      [low, high] = [chart.zero && low === 0 ? 0 : low - room, high + room];
      if (chart.log && low === high) [low, high] = [low / 2, high * 2];

      // Scales
      const width = node.clientWidth, height = node.clientHeight, left = 58, right = 8, top = 8, bottom = 40;
      const scale = chart.log ? Math.log : (value) => value;
      const x = (epoch) => left + ((epoch - 0.5) / epochs) * (width - left - right);
      const y = (value) => height - bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (height - top - bottom);

      // Axes
      svg?.remove();
      svg = add(node, "svg", { width, height, "aria-hidden": "true" });
      ticks(low, high, height / 55, chart.log).forEach((value) => {
        add(svg, "line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) });
        add(svg, "text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value));
      });
      ticks(1, epochs, Math.min(epochs - 1, width / 60)).filter(Number.isInteger).forEach((value) => {
        add(svg, "text", { class: "tick", x: x(value), y: height - bottom + 17, "text-anchor": "middle" }, value);
      });
      add(svg, "line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom });
      add(svg, "text", { class: "tick", x: (left + width) / 2, y: height - 5, "text-anchor": "middle" }, "epoch");
      const middle = (top + height - bottom) / 2;
      add(svg, "text", { class: "tick", x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, chart.axis);

      // Lines. A gap ends a stroke. Lines with few points have markers.
      points = [];
      shown.forEach((line) => {
        const group = add(svg, "g", { class: "trace", opacity: line.opacity ?? 1, stroke: line.color, fill: line.color });
        let path = "", gap = true;
        line.y.forEach((value, i) => {
          if (value === null || (chart.log && value <= 0)) { gap = true; return; }
          const point = { x: x(i + 1), y: y(value), text: `${line.text}, epoch ${i + 1}: ${short(value)}`, color: line.color };
          points.push(point);
          path += `${gap ? "M" : "L"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
          gap = false;
          if (line.ring) add(group, "circle", { cx: point.x, cy: point.y, r: 6, fill: "none", "stroke-width": 2 });
          else if (line.y.length <= 30) add(group, "circle", { cx: point.x, cy: point.y, r: (line.width ?? 2) + 0.5, stroke: "none" });
        });
        if (!line.ring) add(group, "path", { d: path, fill: "none", "stroke-width": line.width ?? 2, "stroke-dasharray": line.dash });
      });
    };

    // Pointing at a line
    node.addEventListener("pointermove", (event) => {
      const box = node.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
      const distance = (point) => Math.hypot(point.x - px, point.y - py);
      const nearest = points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
      svg.querySelector(".here")?.remove();
      tip.hidden = !nearest || distance(nearest) > 60;
      if (tip.hidden) return;
      add(svg, "circle", { class: "here", cx: nearest.x, cy: nearest.y, r: 6, stroke: nearest.color });
      tip.textContent = nearest.text;
      tip.style.left = `${Math.max(0, Math.min(nearest.x, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${Math.max(0, nearest.y - tip.offsetHeight - 10)}px`;
    });
    node.addEventListener("pointerleave", () => { tip.hidden = true; svg?.querySelector(".here")?.remove(); });

    // Names and buttons
    const press = () => {
      names.forEach((button) => button.setAttribute("aria-pressed", !hidden.has(button.textContent.trim())));
      kinds.forEach((button) => button.setAttribute("aria-pressed", button.value === kind));
      draw();
    };
    names.forEach((button) => {
      const name = button.textContent.trim();
      button.addEventListener("click", () => { hidden.delete(name) || hidden.add(name); press(); });
      button.addEventListener("dblclick", () => {
        const alone = names.every((other) => other === button || hidden.has(other.textContent.trim()));
        hidden.clear();
        if (!alone) names.forEach((other) => other === button || hidden.add(other.textContent.trim()));
        press();
      });
    });
    kinds.forEach((button) => button.addEventListener("click", () => { kind = button.value; press(); }));
    return draw;
  };

  // Each chart is drawn when it comes near the window, and again when its size changes.
  const charts = new Map();
  const draw = (node) => {
    if (!node.clientWidth) return;
    if (!charts.has(node)) charts.set(node, setUp(node));
    charts.get(node)();
  };
  const resized = new ResizeObserver((entries) => entries.forEach((entry) => charts.has(entry.target) && draw(entry.target)));
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => charts.has(entry.target) || draw(entry.target)),
    { rootMargin: "400px" },
  );
  document.querySelectorAll(".curves").forEach((node) => { near.observe(node); resized.observe(node); });
  addEventListener("beforeprint", () => document.querySelectorAll(".curves").forEach((node) => charts.has(node) || draw(node)));
})();
