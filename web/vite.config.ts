import { gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

// What is committed is what browsers are sent: a fourth of the size, and no work for the server.
const packed: Plugin = {
  name: 'packed',
  apply: 'build',
  generateBundle: {
    order: 'post',
    handler(_, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        if (fileName.endsWith('.md')) continue
        const source = file.type === 'chunk' ? file.code : file.source
        delete bundle[fileName]
        this.emitFile({ type: 'asset', fileName: `${fileName}.gz`, source: gzipSync(source, { level: 9 }) })
      }
    },
  },
}

export default defineConfig({
  base: './',
  plugins: [packed],
  worker: { format: 'es' },
  build: {
    outDir: '../gql/static',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 5000, // kB; Monaco is that large
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      input: ['index.html', 'graphiql.html'],
      // Apart from our own code, so that the largest files change, and are committed anew, with their versions alone.
      output: {
        codeSplitting: {
          groups: [{ name: 'graphiql-libraries', test: /node_modules\/(?!graphql-ws|lightweight-charts|fancy-canvas|prettier)/ }],
        },
      },
      // React's "use client" means nothing here.
      onwarn: (warning, warn) => warning.code === 'MODULE_LEVEL_DIRECTIVE' || warn(warning),
    },
  },
  server: { proxy: { '/graphql': { target: process.env.CANDLEQL ?? 'http://127.0.0.1:8000', ws: true } } },
})
