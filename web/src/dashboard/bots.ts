// The table of bots, as it is now; what is done to them is asked of the server, and shown when the server tells of it.
import type { BotEventsSubscription } from '../gql/graphql'
import { AllBots, BotEvents, DeleteBot, Heartbeat, UpdateBot, type Bot } from './api'
import { openBotDialog } from './botDialog'
import { ask, follow, onState } from './connection'
import { printed } from './decimal'
import { byId, element, onceAFrame } from './dom'
import { titleTroubled } from './title'

const body = byId('bots')
const message = byId('bots-message')
const trouble = byId('bots-trouble')
const bots = new Map<string, Bot>()
let isLoaded = false

export function showBots(): void {
  // Followed before they are listed, so that no change falls between; and listed anew by whoever was away.
  const hear = ({ bots: { kind, bot } }: BotEventsSubscription) => {
    if (kind === 'DELETED') bots.delete(bot.id)
    else bots.set(bot.id, bot)
    draw()
  }
  follow(BotEvents, {}, hear, undefined, () => void list())
  onState((state) => {
    if (state === 'connected') void list()
  })
  byId('bot-new').addEventListener('click', () => openBotDialog())
  setInterval(draw, 1000) // The age of heartbeats grows.
}

async function list(): Promise<void> {
  await attempt(async () => {
    const { bots: found } = await ask(AllBots, {})
    bots.clear()
    for (const bot of found?.nodes ?? []) bots.set(bot.id, bot)
    isLoaded = true
    draw()
  })
}

/** Do it, and say above the table why it could not be done. */
async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
    message.textContent = ''
  } catch (error) {
    message.className = 'error'
    message.textContent = (error as Error).message
  }
}

async function confirmed(question: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('confirm')
  byId('confirm-question').textContent = question
  dialog.returnValue = ''
  dialog.showModal()
  await new Promise((closed) => dialog.addEventListener('close', closed, { once: true }))
  return dialog.returnValue === 'delete'
}

function button(bot: Bot, text: string, action: () => unknown, attributes = {}): HTMLElement {
  const click = () => void attempt(async () => await action())
  return element('button', { type: 'button', click, 'aria-label': `${text} ${bot.name}`, class: 'plain', ...attributes }, text)
}

function actions(bot: Bot): HTMLElement {
  const { id, version } = bot
  const status = bot.status === 'ACTIVE' ? 'PAUSED' : 'ACTIVE'
  const remove = async () => {
    if (await confirmed(`Delete the bot ${bot.name}?`)) await ask(DeleteBot, { id })
  }
  return element(
    'div',
    { class: 'actions' },
    button(bot, bot.status === 'ACTIVE' ? 'Pause' : 'Start', () => ask(UpdateBot, { id, version, input: { status } })),
    button(bot, 'Heartbeat', () => ask(Heartbeat, { id })),
    button(bot, 'Edit', () => openBotDialog(bot)),
    button(bot, 'Delete', remove, { class: 'plain danger' }),
  )
}

const isTroubled = (bot: Bot): boolean => bot.status === 'ERROR' || Boolean(bot.isStale)

/** Who needs help comes first. */
const byNeed = (a: Bot, b: Bot): number => Number(isTroubled(b)) - Number(isTroubled(a)) || Number(a.id) - Number(b.id)

/** Say in the head and in the tab's title how many need help: they may be out of view. */
function count(): void {
  const all = [...bots.values()]
  const failed = all.filter(({ status }) => status === 'ERROR').length
  const stale = all.filter(({ isStale }) => isStale).length
  const parts = [failed && `${failed} failed`, stale && `${stale} stale`].filter(Boolean)
  const text = parts.join(', ')
  if (trouble.textContent !== text) trouble.textContent = text
  titleTroubled(all.filter(isTroubled).length)
}

const drawn = new Map<string, { bot: Bot; row: HTMLElement; age: HTMLElement }>()

const draw = onceAFrame(() => {
  const rows = [...bots.values()].sort(byNeed).map((bot) => {
    let shown = drawn.get(bot.id)
    if (shown?.bot !== bot) drawn.set(bot.id, (shown = draft(bot, shown)))
    const text = age(bot)
    if (shown.age.textContent !== text) shown.age.textContent = text
    return shown.row
  })
  for (const id of drawn.keys()) if (!bots.has(id)) drawn.delete(id)
  count()
  if (!rows.length && isLoaded) {
    const text = 'No bots. A bot is a record that your strategy reads: make one with “New bot”.'
    rows.push(element('tr', {}, element('td', { colspan: 7, class: 'quiet' }, text)))
  }
  // Only when they are others: a row that is put in anew loses the focus.
  if (rows.length === body.children.length && rows.every((row, at) => row === body.children[at])) return
  const focused = document.activeElement
  body.replaceChildren(...rows)
  if (focused instanceof HTMLElement && body.contains(focused)) focused.focus()
})

/** A cell of a text that may be cut; the whole of it is told by resting on it. */
function long(text: string, kind = ''): HTMLElement {
  return element('td', { class: `long ${kind}`, title: text }, text)
}

/** A row for what is new of a bot, in the place of the one it had, with the focus where it was. */
function draft(bot: Bot, old: { bot: Bot; row: HTMLElement } | undefined) {
  const age = element('span')
  const heartbeat = element('td', {}, age)
  if (bot.isStale) heartbeat.append(' ', element('span', { class: 'stale' }, 'stale'))
  const row = element(
    'tr',
    {},
    long(bot.name),
    element('td', { class: bot.status }, bot.status.toLowerCase()),
    long(bot.strategyName),
    long(`${bot.symbol} ${bot.timeframe}`),
    long(printed(bot.virtualBalance), 'number'),
    heartbeat,
    element('td', {}, actions(bot)),
  )
  if (old?.row.isConnected) {
    const focused = [...old.row.querySelectorAll('button')].indexOf(document.activeElement as HTMLButtonElement)
    old.row.replaceWith(row)
    row.querySelectorAll('button')[focused]?.focus()
  }
  return { bot, row, age }
}

function age({ lastHeartbeat }: Bot): string {
  if (!lastHeartbeat) return 'never'
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(lastHeartbeat)) / 1000))
  if (seconds < 90) return `${seconds} s ago`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`
}
