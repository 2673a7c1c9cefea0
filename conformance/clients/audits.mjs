// All audits of a server that graphql-http has.

import { auditServer } from 'graphql-http'
import { done, url } from './everything.mjs'

const results = await auditServer({ url })
for (const result of results.filter((result) => result.status !== 'ok')) {
  console.error(`${result.id} ${result.name}: ${result.status} ${result.reason ?? ''}`)
}
const passed = results.filter((result) => result.status === 'ok').length
console.log(`${passed}/${results.length}`)
process.exit(results.length === 61 && passed === 61 ? 0 : 1)
