// Puts every effect of every plan to the policies: the committed plans (crates/core/tests/snapshots/plans.snap) hold an
// example of each course that the decision table knows, and a test of the core keeps them current. What is done outside of
// plans gives its own example in effects.yaml; a test of the core keeps that current, too (crates/core/src/sweep.rs).

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { judge } from './lib/judge.mjs'
import { requestsOf } from './lib/recorded.mjs'
import { told } from './lib/rows.mjs'
import { readYaml, root } from './lib/tools.mjs'

const functions = ['cf-create', 'cf-delete', 'cf-watch']
const plansFile = 'crates/core/tests/snapshots/plans.snap'
const effects = readYaml('tests/iam/effects.yaml')
const wrong = []

const source = (path) => readFileSync(join(root, path), 'utf8')

function found(text, pattern, what) {
  const matches = [...text.matchAll(pattern)]
  if (matches.length === 0) throw new Error(`${what} cannot be found: tests/iam/effects.mjs has to be told where it is now`)
  return matches
}

/** The variants of Effect, so that a new one is not forgotten here. */
function variants() {
  const [[, body]] = found(source('crates/core/src/effect.rs'), /pub enum Effect \{\n(.*?)\n\}/gs, 'the enum Effect')
  return found(body, /^ {4}(\w+)[ ({,]/gm, 'a variant of Effect').map(([, name]) => name)
}

/** The lines of the plans that are effects, each once. */
function lines() {
  const words = found(source(plansFile), /^ {2}(\S.*)$/gm, `an effect in ${plansFile}`).map(([, line]) => line)
  const isEffect = (line) => !/^(ledger: .*|then look again|the rest is left for cf-watch)$/.test(line)
  return [...new Set(words)].filter(isEffect)
}

const fill = (value, match) => JSON.parse(JSON.stringify(value).replace('$1', match[1] ?? ''))

async function checkLine(line, seen) {
  const kinds = Object.entries(effects).filter(([, { prints }]) => new RegExp(prints).test(line))
  if (kinds.length !== 1)
    return wrong.push(`${plansFile}: "${line}" is ${kinds.length === 0 ? 'no' : 'more than one'} effect of tests/iam/effects.yaml`)
  const [[kind, { prints, call, asked, only, outside_plans: outside }]] = kinds
  seen.add(kind)
  if (outside && line !== outside)
    return wrong.push(`${plansFile}: "${line}" stands in a plan, and tests/iam/effects.yaml says that no plan does so`)
  const requests = requestsOf({ call, asked: fill(asked, line.match(new RegExp(prints))), status: 200 })
  for (const who of functions) {
    const may = !only || only.includes(who)
    const answers = []
    for (const request of requests) answers.push({ words: told({ who, ...request }), ...(await judge({ who, ...request })) })
    const refused = answers.filter(({ result }) => result !== 'allow')
    if (may) {
      for (const { words, result, problem } of refused) {
        wrong.push(`"${line}": ${who} does this, and\n  asked:    ${words}\n  expected: allow\n  got:      ${problem ?? result}`)
      }
    } else if (refused.length === 0) wrong.push(`"${line}": this is not for ${who}, and its policy would let it`)
  }
}

const known = Object.keys(effects)
for (const name of variants().filter((v) => !known.includes(v))) wrong.push(`The effect ${name} is not in tests/iam/effects.yaml`)
for (const name of known.filter((v) => !variants().includes(v))) wrong.push(`tests/iam/effects.yaml tells of ${name}, which is no effect`)
const seen = new Set()
const outside = Object.values(effects).flatMap(({ outside_plans: line }) => (line ? [line] : []))
const all = [...lines(), ...outside]
for (const line of all) await checkLine(line, seen)
for (const name of known.filter((v) => !seen.has(v))) wrong.push(`No plan in ${plansFile} does ${name}: then nothing here speaks of it`)
for (const text of wrong) console.error(text)
console.log(`${all.length} different effects of all plans, of ${seen.size} kinds, put to ${functions.length} functions`)
if (wrong.length > 0) process.exit(1)
