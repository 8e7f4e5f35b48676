// The charts: ECharts on a place of the page, in the page's colours, moving as the numbers do.

import * as echarts from "./vendor/echarts/echarts.esm.min.js";
import { count, percent } from "./numbers.js";
import { equalEarth } from "./projection.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const PNG = { width: 1200, height: 720 };
const WORLD = "world";
const NARROW = 400;
// The bars carry their numbers themselves.
const BARE_AXIS = { type: "value", axisLabel: { show: false }, axisLine: { show: false }, splitLine: { show: false } };

/** Make the outlines of the countries known to the maps. */
export function registerWorld(outlines) {
  echarts.registerMap(WORLD, outlines);
}

/** A chart in an element. `make(colours, width)` gives its option, `words` say what it shows. */
export class Chart {
  #chart;
  #observer;
  #make = null;
  #words = "";
  #retheme = () => this.#draw();

  constructor(place) {
    this.place = place;
    this.#chart = echarts.init(place, null, { renderer: "canvas" });
    this.#observer = new ResizeObserver(() => {
      if (!this.#hasSize) return;
      this.#chart.resize();
      this.#draw();
    });
    this.#observer.observe(place);
    document.addEventListener("themechange", this.#retheme);
  }

  show(make, words) {
    this.#make = make;
    this.#words = words;
    this.#draw();
  }

  // A map without an area is an error for ECharts.
  get #hasSize() {
    return this.place.clientWidth > 0 && this.place.clientHeight > 0;
  }

  #draw() {
    if (this.#make && this.#hasSize) this.#chart.setOption(this.#option(this.place.clientWidth));
  }

  #option(width) {
    const colours = readColours();
    const { aria, ...made } = this.#make(colours, width);
    return {
      animation: !stillness.matches,
      animationDurationUpdate: 400,
      textStyle: { fontFamily: FONT, color: colours.ink, fontSize: 13 },
      aria: { enabled: true, label: { description: this.#words }, ...aria },
      ...made,
    };
  }

  /** The chart with a title over it, as a data URL of a PNG. */
  picture(title) {
    const place = document.createElement("div");
    Object.assign(place.style, { position: "absolute", left: "-9999px", width: `${PNG.width}px`, height: `${PNG.height}px` });
    document.body.append(place);
    const chart = echarts.init(place, null, { renderer: "canvas", ...PNG });
    try {
      const colours = readColours();
      const text = { text: title, left: 24, top: 16, textStyle: { color: colours.ink, fontFamily: FONT, fontSize: 22 } };
      const option = this.#option(PNG.width);
      const grid = option.grid && { ...option.grid, top: 72, left: 24, right: 24, bottom: 24 };
      chart.setOption({ ...option, ...(grid && { grid }), animation: false, title: text });
      return chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: colours.surface });
    } finally {
      chart.dispose();
      place.remove();
    }
  }

  close() {
    document.removeEventListener("themechange", this.#retheme);
    this.#observer.disconnect();
    this.#chart.dispose();
  }
}

/** Upright bars in the order given; `bars` are {name, members}. */
export function uprightBars(bars, total) {
  return (colours) => ({
    tooltip: tooltip(colours, total),
    grid: { left: 0, right: 0, top: 30, bottom: 0, containLabel: true },
    xAxis: {
      type: "category",
      data: bars.map((bar) => bar.name),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colours.control } },
      axisLabel: { color: colours.ink, fontSize: 13 },
    },
    yAxis: BARE_AXIS,
    series: [
      {
        type: "bar",
        data: bars.map((bar) => ({ name: bar.name, value: bar.members })),
        barMaxWidth: 84,
        itemStyle: { color: colours.series[0], borderRadius: [3, 3, 0, 0] },
        label: { show: true, position: "top", color: colours.ink, formatter: ({ value }) => percent(value, total) },
      },
    ],
  });
}

/** Bars from the left, the first on top; `bars` are {name, members}. */
export function lyingBars(bars, total) {
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    grid: { left: 0, right: 96, top: 4, bottom: 0, containLabel: true },
    xAxis: BARE_AXIS,
    yAxis: {
      type: "category",
      inverse: true,
      data: bars.map((bar) => bar.name),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colours.control } },
      axisLabel: { color: colours.ink, width: Math.min(260, width * 0.4), overflow: "truncate", interval: 0 },
    },
    series: [
      {
        type: "bar",
        data: bars.map((bar) => ({ name: bar.name, value: bar.members })),
        barMaxWidth: 18,
        itemStyle: { color: colours.series[0], borderRadius: [0, 3, 3, 0] },
        label: {
          show: true,
          position: "right",
          color: colours.ink,
          formatter: ({ value }) => `${count(value)} · ${percent(value, total)}`,
        },
      },
    ],
  });
}

/** A ring of shares, each with its name and its percentage beside it; `parts` are {name, members}. */
export function ring(parts, total) {
  const words = ({ name, members }) => `${name} ${percent(members, total)}`;
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    aria: { decal: { show: true } },
    color: colours.series,
    // There is no room for words beside the ring on a narrow page.
    legend: {
      show: width < NARROW,
      bottom: 0,
      selectedMode: false,
      textStyle: { color: colours.ink },
      formatter: (name) => words(parts.find((part) => part.name === name)),
    },
    series: [
      {
        type: "pie",
        radius: ["44%", "70%"],
        center: ["50%", width < NARROW ? "40%" : "50%"],
        data: parts.map((part) => ({ name: part.name, value: part.members })),
        itemStyle: { borderColor: colours.surface, borderWidth: 2 },
        label: {
          show: width >= NARROW,
          color: colours.ink,
          lineHeight: 18,
          formatter: ({ name, value }) => `${name}\n${percent(value, total)}`,
        },
        labelLine: { show: width >= NARROW, length: 10, length2: 8, lineStyle: { color: colours.control } },
      },
    ],
  });
}

/** The world, each area darker the more members it has; `areas` are {name, members}. */
export function worldMap(areas, total) {
  const most = Math.max(1, ...areas.map((area) => area.members));
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    visualMap: {
      min: 0,
      max: most,
      calculable: false,
      orient: "horizontal",
      left: 0,
      bottom: 0,
      itemWidth: 12,
      itemHeight: Math.min(160, width * 0.3),
      text: [count(most), "0"],
      textStyle: { color: colours.ink },
      inRange: { color: colours.scale },
    },
    series: [
      {
        type: "map",
        map: WORLD,
        projection: equalEarth,
        left: 0,
        right: 0,
        top: 0,
        bottom: width < NARROW ? 36 : 20,
        selectedMode: false,
        data: areas.map((area) => ({ name: area.name, value: area.members })),
        itemStyle: { areaColor: colours.empty, borderColor: colours.surface, borderWidth: 0.6 },
        emphasis: { label: { show: false }, itemStyle: { areaColor: colours.series[1] } },
      },
    ],
  });
}

function tooltip(colours, total) {
  return {
    trigger: "item",
    confine: true,
    backgroundColor: colours.surface,
    borderColor: colours.control,
    textStyle: { color: colours.ink, fontFamily: FONT },
    // An element, not markup: names are whatever members write.
    formatter({ name, value }) {
      const told = document.createElement("div");
      const heading = document.createElement("strong");
      heading.textContent = name;
      const members = Number.isFinite(value) ? value : 0;
      told.append(heading, document.createElement("br"), `${count(members)} · ${percent(members, total)}`);
      return told;
    },
  };
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: colour("ink"),
    surface: colour("surface"),
    control: colour("control"),
    empty: colour("map-empty"),
    series: ["series-1", "series-2", "series-3", "series-4"].map(colour),
    scale: [colour("scale-low"), colour("scale-high")],
  };
}
