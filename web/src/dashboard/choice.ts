// Which series is shown. It stands in the address, so that a reload, a bookmark and the back button keep it.

export interface Choice {
  exchange: string
  symbol: string
  timeframe: string
}

/** What the address asks for, such as #okx/BTC-USDT/1m. */
export function chosen(): Choice | null {
  const [exchange, symbol, timeframe] = location.hash.slice(1).split('/').map(decoded)
  return exchange && symbol && timeframe ? { exchange, symbol, timeframe } : null
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part // Somebody's own percent sign.
  }
}

export function choose({ exchange, symbol, timeframe }: Choice): void {
  location.hash = [exchange, symbol, timeframe].map(encodeURIComponent).join('/')
}

export function onChoice(listener: () => void): void {
  addEventListener('hashchange', listener)
}
