// Puts every call that the functions made in the end-to-end tests to the function's own policy. Says which permissions no
// call used; each of those needs a reason.
//
//   node tests/iam/calls.mjs CALLS.json … [SystemBucket=NAME …]
//
// A file holds what the emulator answers to GET /_clusterdrop/function-calls. It may hold "values" beside "calls", for a
// deployment of its own; values given on the command line go for all files.

import { readFileSync } from 'node:fs'
import { judge } from './lib/judge.mjs'
import { list, useValues, world, written } from './lib/policies.mjs'
import { requestsOf } from './lib/recorded.mjs'
import { told } from './lib/rows.mjs'
import { readYaml } from './lib/tools.mjs'

// Each function, and its policy. The emulator runs on one kind of processor, so only one of the publishers is there.
const functions = new Map([
  ...['cf-create', 'cf-delete', 'cf-watch'].map((name) => [name, name]),
  ...['agent-x86', 'agent-arm'].map((name) => [name, 'agent-publisher'])
])
const policies = [...new Set(functions.values())]
const used = new Set()
const wrong = new Map()
const counts = { calls: 0, faults: 0, requests: 0, functions: new Set() }

function complain(call, words) {
  const first = wrong.get(words)
  if (first) first.times += 1
  else wrong.set(words, { call, times: 1 })
}

async function check(call, known) {
  const who = call.caller.replace(`function/${world.values.Prefix}-`, '')
  if (!functions.has(who)) return complain(call, `${call.caller} is not one of our functions`)
  counts.calls += 1
  counts.faults += call.fault === null ? 0 : 1
  counts.functions.add(functions.get(who))
  const requests = requestsOf(call)
  if (!requests) return complain(call, `nobody knows what ${call.call} needs: add it to tests/iam/lib/recorded.mjs`)
  for (const request of requests) {
    const words = told({ who, ...request })
    if (!known.has(words)) known.set(words, await judge({ who, ...request }))
    const { result, by, problem } = known.get(words)
    if (result !== 'allow')
      complain(call, `${words}\n  expected: allow\n  got:      ${problem ?? `${result}, by ${by.join(', ') || 'no statement'}`}`)
    else for (const statement of by) used.add(`${statement}: ${request.action}`)
  }
  counts.requests += requests.length
}

async function checkFile(file, given) {
  const { calls, values } = JSON.parse(readFileSync(file, 'utf8'))
  useValues({ ...readYaml('tests/iam/stand.yaml'), ...values, ...given })
  if (world.values.SystemBucket === 'system') throw new Error(`${file} does not say which bucket is the system's: add SystemBucket=NAME`)
  // The same question has the same answer within one deployment.
  const known = new Map()
  for (const call of calls) await check(call, known)
}

function permissions() {
  return policies.flatMap((name) => written(name).Statement.flatMap((s) => list(s.Action).map((action) => `${name}/${s.Sid}: ${action}`)))
}

/** What no call used must be excused, and what is excused must be unused. */
function checkUse() {
  const excused = list(readYaml('tests/iam/unused.yaml')).flatMap((e) => {
    if (!e.why) throw new Error('tests/iam/unused.yaml: each entry says why')
    const named = list(e.policies).flatMap((p) => list(e.actions).map((a) => `${p}/${e.statement}: ${a}`))
    return named.map((permission) => ({ permission, sometimes: e.sometimes === true }))
  })
  const all = permissions()
  const unused = all.filter((p) => !used.has(p))
  const mistakes = [
    ...unused
      .filter((p) => !excused.some((e) => e.permission === p))
      .map((p) => `No call of the tests used ${p}. Test it, drop it, or say why it is there in tests/iam/unused.yaml`),
    ...excused
      .filter((e) => !all.includes(e.permission))
      .map((e) => `tests/iam/unused.yaml excuses what no policy grants: ${e.permission}`),
    ...excused
      .filter((e) => used.has(e.permission) && !e.sometimes)
      .map((e) => `tests/iam/unused.yaml excuses what the tests do use: ${e.permission}`)
  ]
  console.log(`${all.length} permissions: ${all.length - unused.length} used, ${unused.length} not`)
  for (const p of unused) console.log(`  not used: ${p}`)
  return mistakes
}

const files = process.argv.slice(2).filter((word) => !word.includes('='))
const given = Object.fromEntries(
  process.argv
    .slice(2)
    .filter((word) => word.includes('='))
    .map((word) => word.split(/=(.*)/s).slice(0, 2))
)
if (files.length === 0) {
  console.error('Which calls? node tests/iam/calls.mjs CALLS.json … [SystemBucket=NAME]')
  process.exit(2)
}
for (const file of files) await checkFile(file, given)
for (const [words, { call, times }] of wrong) {
  const which = `${call.call}, call ${call.n} of the log${times > 1 ? ` and ${times - 1} more` : ''}`
  console.error(`${which}${call.fault === null ? '' : ' (a test spoiled it)'}:\n  asked:    ${words}\n`)
}
const spoiled = `${counts.faults} of them spoiled on purpose`
console.log(`${counts.calls} calls of ${counts.functions.size} functions, ${spoiled}; ${counts.requests} requests to IAM`)
const mistakes = checkUse()
for (const text of mistakes) console.error(text)
if (wrong.size > 0) console.error(`${wrong.size} requests are not allowed`)
const silent = policies.filter((name) => !counts.functions.has(name))
for (const name of silent) console.error(`${name} made no call at all: that is no recording of the tests`)
if (wrong.size + mistakes.length + silent.length > 0) process.exit(1)
