/**
 * Replays what a failed property printed: `LANE_SEED=… npx vitest run -t 'its name'`, with `LANE_PATH=…` for the
 * counterexample that it had been shrunk to. Without them fast-check is not even loaded here.
 */
const { LANE_SEED: seed, LANE_PATH: path } = process.env

if (seed !== undefined) {
  const { configureGlobal } = await import('fast-check')
  configureGlobal({ seed: Number(seed), ...(path === undefined ? {} : { path }) })
}
