import './style.css'
import { showBots } from './bots'
import { choose, chosen, onChoice } from './choice'
import type { Refusal } from './connection'
import { byId } from './dom'
import { drawHealth, showHealth } from './health'
import { onNoKey } from './key'
import { digitsAt, firstChoice, loadMarkets } from './markets'
import { openPicker, showChoice } from './picker'
import { redraw, say, show } from './screen'
import { drawTape, showTape } from './tape'
import { useTheme } from './theme'
import { useSplitter } from './splitter'
import { markWatched, redrawWatched, watchMarkets } from './watch'
import { isUtc, useUtc, zoneName } from './zone'

const REFRESH = 15_000 // Milliseconds between two looks at what there is.
const AGAIN = 3000 // Milliseconds until the server is asked again for what there is.

function showChosen(): void {
  const choice = chosen()
  if (!choice) return
  showChoice(choice)
  show(choice)
  showTape(choice, digitsAt(choice) ?? 0)
  markWatched()
}

async function start(): Promise<void> {
  try {
    await loadMarkets()
  } catch (error) {
    say(`${(error as Refusal).message}. Trying again…`, true)
    setTimeout(() => void start(), AGAIN)
    return
  }
  watchMarkets()
  const first = chosen() ?? firstChoice()
  if (!first) {
    say('Nothing is stored or collected yet. Name pairs in okx_config.json and start “candleql collect”.')
    setTimeout(() => void start(), AGAIN)
    return
  }
  onChoice(showChosen)
  if (chosen()) showChosen()
  else choose(first)
  // A collector that starts later brings new markets, and steps of prices.
  setInterval(() => void loadMarkets().then(watchMarkets, () => {}), REFRESH)
}

function showZone(): void {
  byId('zone').textContent = zoneName()
  byId('zone').title = isUtc() ? 'Times in UTC; press for your own zone' : 'Times in your zone; press for UTC'
}

byId('zone').addEventListener('click', () => {
  useUtc(!isUtc())
  showZone()
  redraw()
  drawTape()
  drawHealth()
})
document.addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement
  if (event.key !== '/' || isTyping) return
  event.preventDefault()
  openPicker()
})
useTheme(() => {
  redraw()
  redrawWatched()
})
onNoKey((why) => say(`${why} Press “Key”, above, to enter one.`, true))
useSplitter()
showZone()
showHealth()
showBots()
void start()
