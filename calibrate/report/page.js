"use strict";
(() => {
  const COLOURS = __COLOURS__, SYMBOLS = __SYMBOLS__;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    return {text: colour("--text"), line: colour("--line"), ground: colour("--ground")};
  }

  // The layout in the colours of the page; axes of several subplots have numbers.
  function themed(layout) {
    const {text, line, ground} = theme();
    const full = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: {color: text, size: 12}, margin: {l: 60, r: 12, t: 30, b: 60},
      legend: {orientation: "h", y: 1.02, yanchor: "bottom"},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: line, activecolor: text},
      hoverlabel: {bgcolor: ground, bordercolor: line, font: {color: text}, namelength: -1},
      ...layout,
    };
    const axes = {automargin: true, gridcolor: line, zerolinecolor: line, linecolor: line};
    for (const name of new Set(["xaxis", "yaxis", ...Object.keys(layout)])) {
      if (/^[xy]axis\d*$/.test(name)) full[name] = {...axes, ...layout[name]};
    }
    return full;
  }

  function draw(div, data, layout) {
    // The buttons of plotly need a mouse; on a phone they would cover the plot.
    const buttons = matchMedia("(hover: hover)").matches ? "hover" : false;
    const config = {displaylogo: false, displayModeBar: buttons};
    Plotly.newPlot(div, data, themed(layout), config);
  }

  function show(chart) { chart(); charts.push(chart); }

  for (const script of document.querySelectorAll("script.figure")) {
    const {data, layout} = JSON.parse(script.textContent);
    const div = script.parentElement.querySelector(".chart");
    show(() => draw(div, data, layout));
  }

  for (const script of document.querySelectorAll("script.map")) {
    const figure = script.parentElement, found = JSON.parse(script.textContent);
    const colour = figure.querySelector(".colour"), split = figure.querySelector(".split");
    const output = figure.querySelector(".chosen"), divs = [...figure.querySelectorAll(".chart")];

    function traces(map, index) {
      const {names, codes} = found.colourings[colour.value];
      return names.map((name, code) => {
        const rows = [...found.ids.keys()].filter((row) => codes[index][row] === code &&
          (!split.value || found.splits[row] === split.value));
        return {
          type: "scatter", mode: "markers", name: `${name} (${rows.length})`, customdata: rows,
          x: rows.map((row) => map.x[row]), y: rows.map((row) => map.y[row]),
          text: rows.map((row) => found.ids[row]),
          hovertemplate: "%{text}<extra></extra>",
          marker: {size: 7, opacity: 0.8, color: COLOURS[code % COLOURS.length],
            symbol: SYMBOLS[Math.floor(code / COLOURS.length) % SYMBOLS.length]},
        };
      }).filter((trace) => trace.x.length);
    }

    function describe(row) {
      const parts = found.colourings.map(({title, names, codes}) => {
        const [before, after] = codes.map((each) => names[each[row]]);
        return `${title}: ${before === after ? before : `${before} → ${after}`}`;
      });
      // Names are escaped, so they are set as HTML.
      const text = document.createElement("span");
      text.innerHTML = [found.ids[row], ...parts].join("<br>");
      output.replaceChildren(text);
      if (found.pictures[row]) {
        const image = new Image();
        image.src = found.pictures[row];
        image.alt = "";
        output.prepend(image);
      }
    }

    function redraw() {
      const axis = {showticklabels: false, showgrid: false, zeroline: false, showline: false};
      found.maps.forEach((map, index) => draw(divs[index], traces(map, index), {
        xaxis: axis, yaxis: {...axis, scaleanchor: "x"}, height: 460, hovermode: "closest",
        margin: {l: 5, r: 5, t: 5, b: 5}, legend: {orientation: "h", y: -0.02, yanchor: "top"},
      }));
      for (const div of divs) {
        for (const event of ["plotly_hover", "plotly_click"]) {
          div.on(event, ({points}) => describe(points[0].customdata));
        }
      }
    }

    show(redraw);
    colour.addEventListener("change", redraw);
    split.addEventListener("change", redraw);
  }

  // Plotly's own resizing leaves legends where they were in a narrower window, over the lines.
  const redrawAll = () => charts.forEach((chart) => chart());
  let width = innerWidth, waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    if (innerWidth !== width) waiting = setTimeout(() => { width = innerWidth; redrawAll(); }, 150);
  });
  dark.addEventListener("change", redrawAll);
})();
