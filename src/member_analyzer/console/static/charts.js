// ECharts with the page's theme.

import * as echarts from "./vendor/echarts/echarts.esm.min.js";
import { count, percent } from "./numbers.js";
import { equalEarth } from "./projection.js";

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const PNG = { width: 1200, height: 720 };
const WORLD = "world";
const NARROW = 400;
// The bars have value labels instead.
const HIDDEN_AXIS = { type: "value", axisLabel: { show: false }, axisLine: { show: false }, splitLine: { show: false } };

/** Register the borders of the countries (GeoJSON) for `worldMap`. */
export function registerWorld(borders) {
  echarts.registerMap(WORLD, borders);
}

/** A chart in an element. `buildOption(colours, width)` returns the ECharts option, `description` is for screen readers. */
export class Chart {
  #chart;
  #observer;
  #buildOption = null;
  #description = "";
  #onThemeChange = () => this.#draw();

  constructor(element) {
    this.element = element;
    this.#chart = echarts.init(element, null, { renderer: "canvas" });
    this.#observer = new ResizeObserver(() => {
      if (!this.#hasSize) return;
      this.#chart.resize();
      this.#draw();
    });
    this.#observer.observe(element);
    document.addEventListener("themechange", this.#onThemeChange);
  }

  update(buildOption, description) {
    this.#buildOption = buildOption;
    this.#description = description;
    this.#draw();
  }

  // ECharts throws for a map of size zero.
  get #hasSize() {
    return this.element.clientWidth > 0 && this.element.clientHeight > 0;
  }

  #draw() {
    if (this.#buildOption && this.#hasSize) this.#chart.setOption(this.#option(this.element.clientWidth));
  }

  #option(width) {
    const colours = readColours();
    const { aria, ...option } = this.#buildOption(colours, width);
    return {
      animation: !reducedMotion.matches,
      animationDurationUpdate: 400,
      textStyle: { fontFamily: FONT, color: colours.ink, fontSize: 13 },
      aria: { enabled: true, label: { description: this.#description }, ...aria },
      ...option,
    };
  }

  /** The chart with a title, as a data URL of a PNG. */
  toPng(title) {
    const element = document.createElement("div");
    Object.assign(element.style, {
      position: "absolute",
      left: "-9999px",
      width: `${PNG.width}px`,
      height: `${PNG.height}px`,
    });
    document.body.append(element);
    const chart = echarts.init(element, null, { renderer: "canvas", ...PNG });
    try {
      const colours = readColours();
      const heading = { text: title, left: 24, top: 16, textStyle: { color: colours.ink, fontFamily: FONT, fontSize: 22 } };
      const option = this.#option(PNG.width);
      const grid = option.grid && { ...option.grid, top: 72, left: 24, right: 24, bottom: 24 };
      chart.setOption({ ...option, ...(grid && { grid }), animation: false, title: heading });
      return chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: colours.surface });
    } finally {
      chart.dispose();
      element.remove();
    }
  }

  dispose() {
    document.removeEventListener("themechange", this.#onThemeChange);
    this.#observer.disconnect();
    this.#chart.dispose();
  }
}

/** Vertical bars in the given order; `bars` are {name, members}. */
export function verticalBars(bars, total) {
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
    yAxis: HIDDEN_AXIS,
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

/** Horizontal bars, the first on top; `bars` are {name, members}. */
export function horizontalBars(bars, total) {
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    grid: { left: 0, right: 96, top: 4, bottom: 0, containLabel: true },
    xAxis: HIDDEN_AXIS,
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

/** A doughnut chart; `slices` are {name, members}. */
export function doughnut(slices, total) {
  const label = ({ name, members }) => `${name} ${percent(members, total)}`;
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    aria: { decal: { show: true } },
    color: colours.series,
    // On a narrow page there is no room for labels beside the chart.
    legend: {
      show: width < NARROW,
      bottom: 0,
      selectedMode: false,
      textStyle: { color: colours.ink },
      formatter: (name) => label(slices.find((slice) => slice.name === name)),
    },
    series: [
      {
        type: "pie",
        radius: ["44%", "70%"],
        center: ["50%", width < NARROW ? "40%" : "50%"],
        data: slices.map((slice) => ({ name: slice.name, value: slice.members })),
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

/** A choropleth map of the world; `areas` are {name, members}. */
export function worldMap(areas, total) {
  const max = Math.max(1, ...areas.map((area) => area.members));
  return (colours, width) => ({
    tooltip: tooltip(colours, total),
    visualMap: {
      min: 0,
      max,
      calculable: false,
      orient: "horizontal",
      left: 0,
      bottom: 0,
      itemWidth: 12,
      itemHeight: Math.min(160, width * 0.3),
      text: [count(max), "0"],
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
    // An element rather than HTML: names are untrusted.
    formatter({ name, value }) {
      const content = document.createElement("div");
      const heading = document.createElement("strong");
      heading.textContent = name;
      const members = Number.isFinite(value) ? value : 0;
      content.append(heading, document.createElement("br"), `${count(members)} · ${percent(members, total)}`);
      return content;
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
