// Maps country names to the areas of the world map.

const BORDERS_URL = "/static/vendor/natural-earth/countries.geojson";

// Normalized names that members have -> normalized names on the map.
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

/** The borders of the countries as GeoJSON. Throws if they cannot be loaded. */
export async function fetchBorders() {
  const response = await fetch(BORDERS_URL);
  if (!response.ok) throw new Error(`The map of the world cannot be loaded: status ${response.status}.`);
  return response.json();
}

/** Returns a function from the name of a country to its name on the map, null if the map does not have it. */
export function areaFinder(borders) {
  const areas = new Map(borders.features.map(({ properties }) => [normalize(properties.name), properties.name]));
  return (country) => {
    const name = normalize(country);
    return areas.get(name) ?? areas.get(ALIASES[name]) ?? null;
  };
}

function normalize(name) {
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
