// JSON whose numbers are kept as they were written, where a float can't hold them: a bot's settings may have such.

interface RawJSON {
  rawJSON?: (text: string) => unknown
}

const DIGITS = 17 // Of a float, at most: the server prints its own with no more.
const raw = (JSON as RawJSON).rawJSON

/** For JSON.parse; what it keeps as text, JSON.stringify prints as it was. */
export function keeping(_key: string, value: unknown, context?: { source?: string }): unknown {
  return raw && typeof value === 'number' && context?.source && isRounded(context.source) ? raw(context.source) : value
}

/** What was written. Throws a SyntaxError also for a number that this browser would round. */
export function parsedExactly(text: string): unknown {
  const value: unknown = JSON.parse(text, keeping)
  const outside = text.replace(/"(?:[^"\\]|\\.)*"/g, '')
  const rounded = raw ? undefined : outside.match(/-?\d[\d.eE+-]*/g)?.find(isRounded)
  if (rounded) throw new SyntaxError(`${rounded} would be rounded: write it as a text, in quotes`)
  return value
}

function isRounded(source: string): boolean {
  const isWhole = /^-?\d+$/.test(source)
  if (isWhole) return !Number.isSafeInteger(Number(source))
  const digits = source.replace(/e.*$/i, '').replace(/[-.]/g, '').replace(/^0+|0+$/g, '')
  return digits.length > DIGITS || !Number.isFinite(Number(source))
}
