import 'graphiql/setup-workers/vite'
import 'graphiql/style.css'
import './page.css'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import { createRoot } from 'react-dom/client'
import query from './examples.graphql?raw'
import variables from './variables.json?raw'

// This page is at /graphql, which is also what answers; a proxy may have put something in front.
const url = new URL('graphql', location.href)
const subscriptionUrl = url.href.replace(/^http/, 'ws')

createRoot(document.getElementById('graphiql')!).render(
  <GraphiQL
    fetcher={createGraphiQLFetcher({ url: url.href, subscriptionUrl })}
    defaultTabs={[{ query, variables }]}
    // Of a first tab GraphiQL takes these only here, where they would replace what someone left behind.
    initialVariables={localStorage.getItem('graphiql:tabState') ? undefined : variables}
    defaultEditorToolsVisibility="variables"
  >
    <GraphiQL.Logo>
      <a href="./">candleql</a>
    </GraphiQL.Logo>
  </GraphiQL>,
)
