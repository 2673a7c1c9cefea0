import { createClient } from 'graphql-ws'
import { graphql } from '../gql'

const Alive = graphql(`
  subscription Alive {
    health {
      healthy
    }
  }
`)
const url = new URL('graphql', location.href).href.replace(/^http/, 'ws')
createClient({ url }).subscribe({ query: Alive.toString() }, {
  next: (event) => (document.body.textContent = JSON.stringify(event.data)),
  error: (error) => (document.body.textContent = String(error)),
  complete: () => undefined,
})
