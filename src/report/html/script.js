"use strict";
// Shows the values of the curves at the epoch under the pointer, and what the mark under it stands for.
for (const figure of document.querySelectorAll("figure[data-hover]")) {
  const { panels, spots } = JSON.parse(figure.dataset.hover);
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
  const put = (left, top, box) => {
    tip.style.left = "0px";
    const room = box.width - tip.offsetWidth;
    const beside = left + 8 <= room ? left + 8 : left - tip.offsetWidth - 8;
    tip.style.left = Math.max(0, Math.min(beside, room)) + "px";
    tip.style.top = top + 6 + "px";
  };
  const text = (value) => {
    if (value === null) return "not finite";
    return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(3) : value.toPrecision(4);
  };
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale;
    const y = (event.clientY - box.top) / scale;
    const near = spots.reduce((best, spot) => {
      const distance = Math.hypot(x - spot[0], y - spot[1]) / spot[2];
      return distance <= 1.45 && (!best || distance < best.distance) ? { spot, distance } : best;
    }, null);
    if (near) {
      tip.textContent = near.spot[3];
      tip.hidden = false;
      rule.hidden = true;
      return put(near.spot[0] * scale, near.spot[1] * scale, box);
    }
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
    const lines = ["epoch " + Number(epoch.toFixed(2))];
    for (const { name, points } of panel.curves) {
      // A curve of other epochs shows the nearest of its own.
      const point = points.reduce((best, it) => !best || Math.abs(it[0] - epoch) < Math.abs(best[0] - epoch) ? it : best, null);
      if (point) lines.push(name + "  " + text(point[1]) + (point[0] === epoch ? "" : " (epoch " + Number(point[0].toFixed(2)) + ")"));
    }
    tip.textContent = lines.join("\n");
    rule.hidden = tip.hidden = false;
    const place = left + ((epoch - first) / (last - first)) * (right - left);
    rule.style.left = place * scale + "px";
    rule.style.top = top * scale + "px";
    rule.style.height = (bottom - top) * scale + "px";
    put(place * scale, top * scale, box);
  };
  inner.addEventListener("pointermove", show);
  // A finger taps: what it shows stays until it taps elsewhere.
  inner.addEventListener("pointerdown", show);
  inner.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") hide(); });
  document.addEventListener("pointerdown", (event) => { if (!inner.contains(event.target)) hide(); });
}
