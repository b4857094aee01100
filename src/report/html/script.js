"use strict";
// Shows the values of the curves at the epoch under the pointer.
for (const figure of document.querySelectorAll("figure[data-hover]")) {
  const panels = JSON.parse(figure.dataset.hover);
  const inner = figure.querySelector(".inner");
  const svg = inner.querySelector("svg");
  const make = (name) => {
    const element = document.createElement("div");
    element.className = name;
    element.hidden = true;
    inner.append(element);
    return element;
  };
  const rule = make("rule");
  const tip = make("tip");
  const hide = () => { rule.hidden = tip.hidden = true; };
  const text = (value) => {
    if (value === null) return "not finite";
    return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(3) : value.toPrecision(4);
  };
  inner.addEventListener("pointerleave", hide);
  inner.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale;
    const y = (event.clientY - box.top) / scale;
    const panel = panels.find(({ rect: [left, top, right, bottom] }) => x >= left && x <= right && y >= top && y <= bottom);
    if (!panel) return hide();
    const [left, top, right, bottom] = panel.rect;
    const [first, last] = panel.epochs;
    const wanted = first + ((x - left) / (right - left)) * (last - first);
    let epoch = null;
    for (const { points } of panel.curves) {
      for (const [at] of points) {
        if (epoch === null || Math.abs(at - wanted) < Math.abs(epoch - wanted)) epoch = at;
      }
    }
    if (epoch === null) return hide();
    const lines = ["epoch " + epoch];
    for (const { name, points } of panel.curves) {
      const point = points.find(([at]) => at === epoch);
      if (point) lines.push(name + "  " + text(point[1]));
    }
    tip.textContent = lines.join("\n");
    rule.hidden = tip.hidden = false;
    const place = left + ((epoch - first) / (last - first)) * (right - left);
    rule.style.left = place * scale + "px";
    rule.style.top = top * scale + "px";
    rule.style.height = (bottom - top) * scale + "px";
    const turned = place * scale + tip.offsetWidth + 12 > box.width;
    tip.style.left = place * scale + (turned ? -tip.offsetWidth - 8 : 8) + "px";
    tip.style.top = top * scale + 6 + "px";
  });
}
