// The Equal Earth projection (Šavrič, Patterson, Jenny 2018). It preserves areas, as a choropleth map needs.

const A = [1.340264, -0.081106, 0.000893, 0.003796];
const M = Math.sqrt(3) / 2;
const RADIAN = Math.PI / 180;
const NEWTON_STEPS = 12;

const height = (t) => t * (A[0] + A[1] * t ** 2 + t ** 6 * (A[2] + A[3] * t ** 2));
const slope = (t) => A[0] + 3 * A[1] * t ** 2 + t ** 6 * (7 * A[2] + 9 * A[3] * t ** 2);

export const equalEarth = {
  /** Longitude and latitude in degrees to a point, with y pointing down. */
  project([longitude, latitude]) {
    const t = Math.asin(M * Math.sin(latitude * RADIAN));
    return [(longitude * RADIAN * Math.cos(t)) / (M * slope(t)), -height(t)];
  },

  unproject([x, y]) {
    let t = -y;
    for (let i = 0; i < NEWTON_STEPS; i += 1) t -= (height(t) + y) / slope(t);
    return [(M * x * slope(t)) / Math.cos(t) / RADIAN, Math.asin(Math.sin(t) / M) / RADIAN];
  },
};
