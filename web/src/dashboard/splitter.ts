// The edge between the chart and the bots, which a mouse, a finger or the arrow keys move.
import { byId } from './dom'

const STEP = 24 // Pixels of a key.
const LEAST = 80

const edge = byId('splitter')
const panel = byId('bots-panel')

const most = (): number => Math.max(LEAST, innerHeight - 260)

function resize(height: number): void {
  const kept = Math.round(Math.min(most(), Math.max(LEAST, height)))
  document.documentElement.style.setProperty('--bots', `${kept}px`)
  localStorage.setItem('botsHeight', String(kept))
  tell(kept)
}

function tell(height: number): void {
  for (const [name, value] of [['valuemin', LEAST], ['valuemax', most()], ['valuenow', height]] as const) {
    edge.setAttribute(`aria-${name}`, String(value))
  }
}

export function useSplitter(): void {
  const kept = Number(localStorage.getItem('botsHeight'))
  if (kept) resize(kept)
  else tell(panel.offsetHeight)
  edge.addEventListener('pointerdown', (event) => {
    edge.setPointerCapture(event.pointerId)
    event.preventDefault()
  })
  edge.addEventListener('pointermove', (event) => {
    if (edge.hasPointerCapture(event.pointerId)) resize(panel.getBoundingClientRect().bottom - event.clientY)
  })
  edge.addEventListener('keydown', (event) => {
    const by = { ArrowUp: STEP, ArrowDown: -STEP, Home: -Infinity, End: Infinity }[event.key]
    if (by === undefined) return
    event.preventDefault()
    resize(panel.offsetHeight + by)
  })
}
