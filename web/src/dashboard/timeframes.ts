const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, M: 2_629_746 } as const

/** Seconds of a candle; of a month the mean. */
export function secondsOf(timeframe: string): number {
  return Number.parseInt(timeframe, 10) * SECONDS[timeframe.at(-1) as keyof typeof SECONDS]
}

/** The shorter one first. */
export function byLength(a: string, b: string): number {
  return secondsOf(a) - secondsOf(b)
}
