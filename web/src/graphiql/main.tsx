import 'graphiql/setup-workers/vite'
import 'graphiql/style.css'
import './page.css'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import { createRoot } from 'react-dom/client'
import query from './examples.graphql?raw'
import usual from './variables.json'

// This page is at /graphql, which is also what answers; a proxy may have put something in front.
const url = new URL('graphql', location.href)
const asked = new URL(location.href).searchParams
const subscriptionUrl = url.href.replace(/^http/, 'ws')

const PATIENCE = 3_000 // Milliseconds that the page waits for the bots of its examples.

/**
 * A bot that is there, for the examples that read one. Those that change one get only the bot that CreateBot made here,
 * and none of anybody else's: a key too much would delete it.
 */
async function someBots(): Promise<Partial<Record<'botId' | 'botName' | 'exampleBotId', string>>> {
  const document = `query ($name: String!) {
    example: botByName(name: $name) { id name }
    bots(first: 1) { nodes { id name } }
  }`
  const body = JSON.stringify({ query: document, variables: { name: usual.botName } })
  const headers = { 'content-type': 'application/json' }
  const signal = AbortSignal.timeout(PATIENCE)
  try {
    const response = await fetch(url.origin + url.pathname, { method: 'POST', headers, body, signal })
    const { data } = await response.json()
    const bot = data?.example ?? data?.bots?.nodes[0]
    return { ...(bot && { botId: bot.id, botName: bot.name }), ...(data?.example && { exampleBotId: data.example.id }) }
  } catch {
    return {} // Such as of a server that wants a key: then it is to be filled in.
  }
}

const left = localStorage.getItem('graphiql:tabState')
const examples = left ? '' : JSON.stringify({ ...usual, ...(await someBots()) }, null, 2)
const wanted = asked.get('query')

createRoot(document.getElementById('graphiql')!).render(
  <GraphiQL
    fetcher={createGraphiQLFetcher({ url: url.href, subscriptionUrl })}
    defaultTabs={[{ query, variables: examples }]}
    // What the address asks for is shown first, beside what someone left behind, and never run by itself.
    initialQuery={wanted ?? undefined}
    // Of a first tab GraphiQL takes these only here, where they would replace what someone left behind.
    initialVariables={wanted === null ? examples || undefined : (asked.get('variables') ?? '')}
    operationName={asked.get('operationName') ?? undefined}
    defaultEditorToolsVisibility="variables"
  >
    <GraphiQL.Logo>
      <a href="./">candleql</a>
    </GraphiQL.Logo>
  </GraphiQL>,
)
