// Decimals are printed from the server's own strings: no price goes through a float to be read.

/** Digits after the point that count: 9 for "0.000000001", 1 for "0.10", 0 for "1". */
export function digitsOf(decimal: string): number {
  return (decimal.split('.')[1] ?? '').replace(/0+$/, '').length
}

/** `decimal` with thousands apart and at least `digits` after the point; none that it has is cut. */
export function printed(decimal: string, digits = 0): string {
  const [whole = '', fraction = ''] = decimal.split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  const places = fraction.replace(/0+$/, '').padEnd(digits, '0')
  return places ? `${grouped}.${places}` : grouped
}

/** Digits for a market whose step is not known: enough to tell prices of its size apart. */
export function digitsFor(price: number): number {
  if (!(price > 0)) return 2
  return Math.min(100, Math.max(2, 5 - Math.floor(Math.log10(price))))
}
