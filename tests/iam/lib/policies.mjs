// The policies as they stand in iam/, template.yaml and templates/cluster.yaml, and how their placeholders are filled.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readYaml, root } from './tools.mjs'

export const world = readYaml('tests/iam/world.yaml')

const everything = { Version: '2012-10-17', Statement: [{ Sid: 'AdministratorAccess', Effect: 'Allow', Action: '*', Resource: '*' }] }

const templates = new Map()
const cache = new Map()

function template(path) {
  if (!templates.has(path)) templates.set(path, readYaml(path))
  return templates.get(path)
}

// What CloudFormation computes becomes a placeholder: {"Ref": "X"} and {"Fn::GetAtt": "X"} are ${X}, and so are the names that one
// Fn::Sub alone knows. Of an Fn::If it is the side where the condition holds.
function flat(node) {
  if (Array.isArray(node)) return node.map(flat)
  if (node === null || typeof node !== 'object') return node
  const [[key, value], ...more] = Object.entries(node)
  if (more.length === 0 && key === 'Fn::Sub') return list(value)[0]
  if (more.length === 0 && key === 'Fn::If') return flat(value[1])
  if (more.length === 0 && (key === 'Ref' || key === 'Fn::GetAtt')) return `\${${value}}`
  return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, flat(v)]))
}

function partOf({ file, part }) {
  const found = part.reduce((node, step) => node?.[step], template(file))
  if (!found) throw new Error(`${file} has no ${part.join('.')}: tell tests/iam/world.yaml where that policy is now`)
  return flat(found)
}

/** Names of the policies under test. */
export const names = [
  ...readdirSync(join(root, 'iam'))
    .filter((f) => f.endsWith('.json'))
    .map((f) => f.slice(0, -5)),
  ...Object.keys(world.documents)
]

/** Where a person finds it. */
export function placeOf(name) {
  const file = `iam/${name}.json`
  return existsSync(join(root, file)) ? file : `${world.documents[name].file} (${world.documents[name].part.slice(1, -1).join('.')})`
}

/** A policy with its placeholders as they are written. */
export function written(name) {
  if (name === 'everything') return everything
  const file = join(root, 'iam', `${name}.json`)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  if (world.documents[name]) return partOf(world.documents[name])
  throw new Error(`there is no policy ${name}: neither iam/${name}.json nor one of the documents in tests/iam/world.yaml`)
}

const known = { ...world.values, ...world['template-values'] }

/** Speaks of another deployment than the table's. */
export function useValues(values) {
  Object.assign(world.values, values)
  Object.assign(known, values)
  cache.clear()
}

function fillText(text, own) {
  return text.replace(/\$\{([^}]+)\}/g, (whole, name) => {
    if (name in own) return own[name]
    if (name in known) return known[name]
    // IAM's own variables stay: the simulator resolves them, as AWS does.
    if (/^aws:/.test(name)) return whole
    throw new Error(`nobody says what \${${name}} is: add it to tests/iam/world.yaml`)
  })
}

/** The same policy as IAM sees it. `own` are values that count before those of the deployment. */
export function filled(node, own = {}) {
  if (typeof node === 'string') return fillText(node, own)
  if (Array.isArray(node)) return node.map((each) => filled(each, own))
  if (node === null || typeof node !== 'object') return node
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [fillText(key, own), filled(value, own)]))
}

/** In the cluster's template the stack is the cluster's, everywhere else it is the deployment's. */
function ownValues(name) {
  return world.documents[name]?.file === 'templates/cluster.yaml' ? { 'AWS::StackName': world['template-stack'] } : {}
}

/** A policy, filled. */
export function policy(name) {
  if (!cache.has(name)) cache.set(name, filled(written(name), ownValues(name)))
  return cache.get(name)
}

/** How a statement is called: by its Sid, or its place where it has none. */
export function statementName(document, index) {
  return document.Statement[index].Sid ?? `statement ${index + 1}`
}

export const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value])
