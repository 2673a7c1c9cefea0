// How the dashboard talks with its server: queries over HTTP, subscriptions over one websocket that comes back by itself.
import { createClient } from 'graphql-ws'
import type { TypedDocumentString } from '../gql/graphql'
import { keeping } from './json'
import { apiKey, wantKey } from './key'

const ENDPOINT = new URL('graphql', location.href).href
const FORBIDDEN = 4403
const SILENCE = 5000 // Milliseconds without a word from the server after which it is asked for one, and again to be given up.
const AGAIN = 3000 // Milliseconds until a subscription that the server ended is asked for anew.

export type State = 'connecting' | 'connected' | 'reconnecting'

/** What the server said no to: `code` as in `extensions.code`, and each of its messages. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly messages: string[],
  ) {
    super(messages.join('; '))
  }
}

interface Answer<Data> {
  data?: Data | null
  errors?: readonly { message: string; extensions?: { code?: unknown } }[]
}

function refusal(errors: NonNullable<Answer<unknown>['errors']>): Refusal {
  return new Refusal(String(errors[0]?.extensions?.code ?? ''), errors.map((error) => error.message))
}

/**
 * Ask a query or a mutation. Rejects with a Refusal, also when the server cannot be reached (code UNREACHABLE).
 * When the server wants a key, the viewer is asked for it and the question is asked again.
 */
export async function ask<Data, Variables>(
  document: TypedDocumentString<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  for (;;) {
    const answer = await post<Data>(document.toString(), variables)
    if (!answer.errors) return answer.data as Data
    const refused = refusal(answer.errors)
    if (refused.code !== 'UNAUTHENTICATED') throw refused
    await wantKey(refused.message)
  }
}

async function post<Data>(query: string, variables: unknown): Promise<Answer<Data>> {
  const key = apiKey()
  const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) }
  try {
    const response = await fetch(ENDPOINT, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })
    return JSON.parse(await response.text(), keeping) as Answer<Data>
  } catch {
    throw new Refusal('UNREACHABLE', ['The server does not answer: start it with “candleql serve”'])
  }
}

const listeners = new Set<(state: State) => void>()
let refusedKey = false
let silence: ReturnType<typeof setTimeout> | undefined

/** Be told of every change of the connection. It is `connected` before any event comes over it. */
export function onState(listener: (state: State) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function tell(state: State): void {
  for (const listener of listeners) listener(state)
}

const client = createClient({
  url: ENDPOINT.replace(/^http/, 'ws'),
  connectionParams: () => {
    const key = apiKey()
    return key ? { Authorization: `Bearer ${key}` } : {}
  },
  jsonMessageReviver: keeping,
  keepAlive: SILENCE,
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: async (retries) => {
    if (refusedKey) await wantKey('“candleql keys” lists and makes them.')
    else await new Promise((wake) => setTimeout(wake, Math.min(3000, 250 * 2 ** retries) * (0.75 + Math.random() / 2)))
  },
  on: {
    connecting: (isRetry) => tell(isRetry ? 'reconnecting' : 'connecting'),
    connected: () => tell('connected'),
    closed: (event) => {
      clearTimeout(silence)
      refusedKey = (event as CloseEvent).code === FORBIDDEN
      tell('reconnecting')
    },
    ping: (received) => {
      // A server that is gone without a word (a laptop that slept, a cable) closes nothing by itself.
      if (!received) silence = setTimeout(() => client.terminate(), SILENCE)
    },
    pong: (received) => {
      if (received) clearTimeout(silence)
    },
  },
})

/**
 * Follow a subscription until the returned function is called. `variables` are read anew at every reconnection, so that
 * whoever keeps its cursor in them misses nothing. What the server ends or refuses is told to `failed` and tried again,
 * which is told to `restarted`: what happened in between was not heard.
 */
export function follow<Data, Variables extends Record<string, unknown>>(
  document: TypedDocumentString<Data, Variables>,
  variables: Variables,
  heard: (data: Data) => void,
  failed: (refused: Refusal) => void = () => {},
  restarted: () => void = () => {},
): () => void {
  let stopped = false
  let unsubscribe = () => {}
  let later: ReturnType<typeof setTimeout> | undefined
  const ended = (refused?: Refusal) => {
    if (stopped) return
    if (refused?.code === 'UNAUTHENTICATED') return void wantKey(refused.message)
    if (refused) failed(refused)
    if (!stopped) later = setTimeout(restart, AGAIN) // `failed` may have stopped it
  }
  const start = () => {
    let refused: Refusal | undefined
    unsubscribe = client.subscribe<Data>(
      { query: document.toString(), variables },
      {
        next: (answer) => {
          if (answer.errors) refused = refusal(answer.errors)
          else if (answer.data && !stopped) heard(answer.data)
        },
        error: (error) => ended(Array.isArray(error) ? refusal(error) : new Refusal('CLOSED', ['The connection broke'])),
        complete: () => ended(refused),
      },
    )
  }
  const restart = () => {
    start()
    restarted()
  }
  start()
  return () => {
    stopped = true
    clearTimeout(later)
    unsubscribe()
  }
}
