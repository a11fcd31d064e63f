// Weakens every policy in every small way, and demands that some row of the table notices. A part that nobody misses is
// not needed, or not fenced; either the policy or the table is wrong then.

import { askedFor, judge } from './lib/judge.mjs'
import { filled, list, names, placeOf, policy, world, written } from './lib/policies.mjs'
import { readTable } from './lib/rows.mjs'
import { weakened } from './lib/weaken.mjs'

const requests = readTable().flatMap((row) => row.requests)

function covers(patterns, action) {
  return list(patterns).some((pattern) =>
    new RegExp(`^${pattern.replace(/[.+?^$()|[\]\\{}]/g, '\\$&').replace(/\*/g, '.*')}$`, 'i').test(action)
  )
}

/** The first row that notices, if any. Only requests that the changed statement speaks of can. */
async function noticed(name, { index, changed }, asked) {
  const before = policy(name).Statement[index].Action
  const after = list(changed.Statement[index]?.Action)
  const concerned = asked.filter(({ action }) => covers(before, action) || covers(after, action))
  const replaced = { [name]: filled(changed) }
  for (const request of concerned) {
    const { result, problem } = await judge(request, replaced)
    if (problem) throw new Error(`${request.where}: ${problem}`)
    if (result !== request.expected) return request
  }
  return undefined
}

const attached = new Set(Object.values(world.guards))
const survivors = []
let changes = 0
for (const name of names) {
  const asked = requests.filter((request) => askedFor(request).includes(name))
  let ofThis = 0
  for await (const weak of weakened(written(name), attached.has(name))) {
    ofThis += 1
    const words = `${name}, ${weak.statement}: ${weak.what}`
    const by = await noticed(name, weak, asked)
    if (process.argv.includes('--each')) console.log(`${words} <- ${by ? `${by.where} (${by.who}, ${by.action})` : 'NOBODY'}`)
    if (!by) survivors.push(words)
  }
  changes += ofThis
  console.log(`${placeOf(name)}: ${ofThis} changes, put to ${asked.length} requests`)
}
for (const words of survivors) console.error(`No row notices ${words}`)
console.log(`${changes} changes, ${changes - survivors.length} noticed by a row`)
if (survivors.length > 0) process.exit(1)
