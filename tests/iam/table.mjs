// Puts every row of the decision table to the policies.

import { judge } from './lib/judge.mjs'
import { readTable, told } from './lib/rows.mjs'

const rows = readTable()
const counts = { allow: 0, deny: 0, forbid: 0 }
const wrong = []
const seen = new Map()
const twice = []
for (const { where, requests } of rows) {
  for (const request of requests) {
    const words = told(request)
    if (seen.has(words)) twice.push(`${where}: ${words}\n  stands already in ${seen.get(words)}`)
    seen.set(words, where)
    const { result, by, problem } = await judge(request)
    counts[request.expected] += 1
    if (result === request.expected) continue
    const got = problem ? `no answer: ${problem}` : `${result}, by ${by.join(', ') || 'no statement'}`
    wrong.push(`${request.where}: ${request.why}\n  asked:    ${words}\n  expected: ${request.expected}\n  got:      ${got}`)
  }
}
for (const text of [...wrong, ...twice]) console.error(`${text}\n`)
const total = counts.allow + counts.deny + counts.forbid
console.log(`${rows.length} rows, ${total} requests: ${counts.allow} allowed, ${counts.deny} not granted, ${counts.forbid} forbidden`)
if (wrong.length + twice.length > 0) {
  console.error(`${wrong.length} requests are answered otherwise than the table says, ${twice.length} stand twice`)
  process.exit(1)
}
