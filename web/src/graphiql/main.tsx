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

/** A bot that is there, for the examples: the one that they make, or else the first. */
async function aBot(): Promise<{ botId?: string; botName?: string }> {
  const document = '{ example: botByName(name: "example") { id name } bots(first: 1) { nodes { id name } } }'
  const headers = { 'content-type': 'application/json' }
  try {
    const response = await fetch(url.origin + url.pathname, { method: 'POST', headers, body: JSON.stringify({ query: document }) })
    const { data } = await response.json()
    const bot = data?.example ?? data?.bots?.nodes[0]
    return bot ? { botId: bot.id, botName: bot.name } : {}
  } catch {
    return {} // Such as of a server that wants a key: then it is to be filled in.
  }
}

const left = localStorage.getItem('graphiql:tabState')
const examples = left ? '' : JSON.stringify({ ...usual, ...(await aBot()) }, null, 2)
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
