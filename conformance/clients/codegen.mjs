// graphql-codegen's client-preset makes types of schema.graphql, TypeScript compiles them under our use of them, and that runs.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { generate } from '@graphql-codegen/cli'

const here = (path) => new URL(path, import.meta.url).pathname
const folder = here('../generated/typescript')
rmSync(folder, { recursive: true, force: true })
const said = []
for (const stream of [process.stdout, process.stderr]) stream.write = (text) => said.push(String(text))
await generate({
  cwd: here('..'),
  schema: here('../../schema.graphql'),
  documents: [here('../operations.graphql'), here('./generated.ts')],
  importExtension: '.ts',
  generates: {
    [`${folder}/`]: {
      preset: 'client',
      presetConfig: { persistedDocuments: true, fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: { Decimal: 'string', DateTime: 'string', BigInt: 'string', Timeframe: 'string', JSON: 'unknown' },
      },
    },
  },
})
for (const stream of [process.stdout, process.stderr]) delete stream.write
assert.doesNotMatch(said.join(''), /warn|deprecat|fail/i)

const options = ['--strict', '--module', 'nodenext', '--target', 'es2024', '--skipLibCheck', '--rewriteRelativeImportExtensions', '--rootDir', here('..'), '--outDir', `${folder}/built`]
try {
  execFileSync(process.execPath, [here('../node_modules/typescript/bin/tsc'), ...options, here('./generated.ts')], { cwd: here('..') })
} catch (failure) {
  process.stderr.write(failure.stdout)
  process.exit(1)
}
await import(`${folder}/built/clients/generated.js`)
