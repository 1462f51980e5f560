"use strict";

/* A cell's number, or NaN: "1,234", "0.05 ± 0.01", "12 %" count by what they begin with. */
function numberOf(text) {
  const found = text.replaceAll(",", "").replace("−", "-").match(/^[-+]?\d*\.?\d+(e[-+]?\d+)?/i);
  return found ? Number(found[0]) : NaN;
}

/* Numbers in their order, then words in theirs, then empty cells, whatever the sign. */
function compare(one, other, sign) {
  if (!one || !other) return Number(!one) - Number(!other);
  const [a, b] = [numberOf(one), numberOf(other)];
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return sign * (Number.isNaN(a) ? one.localeCompare(other) : a - b);
}

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const falling = header.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  const cell = (row) => row.cells[column].textContent.trim();
  rows.sort((a, b) => compare(cell(a), cell(b), falling ? -1 : 1));
  table.tBodies[0].append(...rows);
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line") };
  for (const plot of document.querySelectorAll(".plot")) {
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    const layout = {
      ...figure.layout,
      xaxis: { ...axis, ...figure.layout.xaxis },
      yaxis: { ...axis, ...figure.layout.yaxis },
      autosize: true,
      colorway: colour("--series").split(" "),
      font: { color: colour("--text"), family: "system-ui, sans-serif" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
    };
    for (const shape of layout.shapes || []) shape.line.color = colour("--warning");
    Plotly.react(plot, figure.data, layout, { responsive: true, displayModeBar: false });
  }
  document.documentElement.dataset.drawn = "yes";
}

async function start() {
  /* Beside the text where there is room; above it, and folded, where there is none. */
  const contents = document.querySelector("nav details");
  if (contents) contents.open = matchMedia("(min-width: 70rem)").matches;
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sortBy(button.parentNode));
  }
  const packed = document.getElementById("plotly");
  if (packed) {
    const bytes = Uint8Array.from(atob(packed.textContent.replace(/\s/g, "")), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }
}

start();
