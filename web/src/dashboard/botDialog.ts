// The form that a bot is created and edited in. What the server refuses is said at the field that it is about.
import { CreateBot, Instruments, UpdateBot, type Bot } from './api'
import { chosen } from './choice'
import { ask, Refusal } from './connection'
import { byId, element } from './dom'
import { parsedExactly } from './json'
import { symbols } from './markets'

const FIELDS = ['name', 'strategyName', 'symbol', 'timeframe', 'virtualBalance', 'config'] as const
type Field = (typeof FIELDS)[number]

const dialog = byId<HTMLDialogElement>('bot-dialog')
const form = byId<HTMLFormElement>('bot-form')
const general = byId('bot-error')
let edited: Bot | undefined
let insisted = '' // A market that nobody knows, and that is wanted all the same.

const field = (name: Field): HTMLInputElement => form.elements.namedItem(name) as HTMLInputElement

/** Open it to edit a bot, or without one to create it. */
export function openBotDialog(bot?: Bot): void {
  edited = bot
  insisted = ''
  clear()
  byId('bot-title').textContent = bot ? `Edit ${bot.name}` : 'New bot'
  const here = chosen()
  const values = bot ?? { name: '', strategyName: '', symbol: here?.symbol, timeframe: here?.timeframe, virtualBalance: '1000', config: {} }
  for (const name of FIELDS) field(name).value = name === 'config' ? JSON.stringify(values.config, null, 1) : String(values[name] ?? '')
  dialog.showModal()
  void offerSymbols()
}

async function offerSymbols(): Promise<void> {
  const { instruments } = await ask(Instruments, {}).catch(() => ({ instruments: null }))
  byId('symbols').replaceChildren(...(instruments?.nodes ?? []).map(({ symbol }) => element('option', { value: symbol })))
}

async function save(): Promise<void> {
  clear()
  let config: unknown
  try {
    config = parsedExactly(field('config').value || '{}')
  } catch (error) {
    return complain('config', `This is not JSON: ${(error as Error).message}`)
  }
  const text = (name: Field) => field(name).value.trim()
  const input = {
    name: text('name'),
    strategyName: text('strategyName'),
    symbol: text('symbol'),
    timeframe: text('timeframe'),
    virtualBalance: text('virtualBalance'),
    config,
  }
  try {
    if (await isStrange(input.symbol)) {
      insisted = input.symbol
      return complain('symbol', `The exchange has no market ${input.symbol} that is known here. Save again to keep it all the same.`)
    }
    if (edited) await ask(UpdateBot, { id: edited.id, version: edited.version, input })
    else await ask(CreateBot, { input: { ...input, exchange: chosen()?.exchange ?? 'okx', status: 'INACTIVE' } })
    dialog.close()
  } catch (error) {
    if (error instanceof Refusal) explain(error)
    else throw error
  }
}

/** Whether nobody knows the market. A bot may well have one that is not collected. */
async function isStrange(symbol: string): Promise<boolean> {
  if (symbol === edited?.symbol || symbol === insisted || symbols().some((market) => market.symbol === symbol)) return false
  const { instruments } = await ask(Instruments, { search: symbol })
  if (instruments?.nodes.some((instrument) => instrument.symbol === symbol)) return false
  // An empty server knows none, and can't tell.
  return symbols().length > 0
}

function explain(refused: Refusal): void {
  for (const message of refused.messages) {
    const [, where, why] = /^(?:input\.|Variable '\$input' .* at \.)?(\w+)(?:\.[^:]*)?: (.*)$/s.exec(message) ?? []
    const name = FIELDS.find((name) => name === where)
    if (name) complain(name, why!)
    else general.textContent = refused.code === 'CONFLICT' ? `${message}. Close this and edit the bot as it is now.` : message
  }
}

let complaints = 0

function complain(name: Field, why: string): void {
  const id = `complaint-${++complaints}`
  const input = field(name)
  input.setAttribute('aria-invalid', 'true')
  input.setAttribute('aria-describedby', id)
  input.after(element('span', { id, class: 'error', role: 'alert' }, why))
  if (form.querySelectorAll('[aria-invalid]').length === 1) input.focus()
}

function clear(): void {
  general.textContent = ''
  for (const complaint of form.querySelectorAll('label .error')) complaint.remove()
  for (const name of FIELDS) {
    field(name).removeAttribute('aria-invalid')
    field(name).removeAttribute('aria-describedby')
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void save()
})
byId('bot-cancel').addEventListener('click', () => dialog.close())
