// Which area of the world map a country's name means.

const OUTLINES = "/static/vendor/natural-earth/countries.geojson";

// Names that members come with, where the map writes another; both in the form that `plain` gives.
const ALIASES = {
  "bosnia herzegovina": "bosnia and herzegovina",
  "burma": "myanmar burma",
  "myanmar": "myanmar burma",
  "cape verde": "cabo verde",
  "china peoples republic of": "china",
  "peoples republic of china": "china",
  "congo": "congo brazzaville",
  "republic of the congo": "congo brazzaville",
  "democratic republic of the congo": "congo kinshasa",
  "republic of congo": "congo brazzaville",
  "congo brazzaville": "congo brazzaville",
  "democratic republic of congo": "congo kinshasa",
  "dr congo": "congo kinshasa",
  "czech republic": "czechia",
  "east timor": "timor leste",
  "great britain": "united kingdom",
  "uk": "united kingdom",
  "england": "united kingdom",
  "scotland": "united kingdom",
  "wales": "united kingdom",
  "northern ireland": "united kingdom",
  "holland": "netherlands",
  "islamic republic of iran": "iran",
  "iran islamic republic of": "iran",
  "ivory coast": "cote divoire",
  "korea": "south korea",
  "korea republic of": "south korea",
  "republic of korea": "south korea",
  "macedonia": "north macedonia",
  "palestine": "palestinian territories",
  "republic of ireland": "ireland",
  "republic of serbia": "serbia",
  "russian federation": "russia",
  "swaziland": "eswatini",
  "syrian arab republic": "syria",
  "turkey": "turkiye",
  "united republic of tanzania": "tanzania",
  "united states of america": "united states",
  "us": "united states",
  "usa": "united states",
  "viet nam": "vietnam",
};

/** The outlines as GeoJSON. Throws where the server does not give them. */
export async function fetchOutlines() {
  const response = await fetch(OUTLINES);
  if (!response.ok) throw new Error(`The outlines of the countries are missing: status ${response.status}.`);
  return response.json();
}

/** A function from a country's name to its area's name on the map, null for one that the map has not. */
export function areasOf(outlines) {
  const areas = new Map(outlines.features.map(({ properties }) => [plain(properties.name), properties.name]));
  return (country) => {
    const name = plain(country);
    return areas.get(name) ?? areas.get(ALIASES[name]) ?? null;
  };
}

function plain(name) {
  return name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[’'.]/g, "")
    .replace(/&/g, " and ")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .replace(/^ ?the /, "")
    .trim();
}
