// The decision table: from rows that a person reads to single requests.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readYaml, root } from './tools.mjs'
import { list, world } from './policies.mjs'

const verdicts = ['allow', 'deny', 'forbid']
const rowWords = new Set([...verdicts, 'who', 'on', 'like', 'with', 'why', 'unguarded'])
const groupWords = new Set(['group', 'who', 'why', 'like', 'with', 'unguarded', 'rows'])

function people(word) {
  return list(word).flatMap((name) => {
    if (world.groups[name]) return world.groups[name]
    if (world.people[name]) return [name]
    throw new Error(`nobody is called ${name}`)
  })
}

/** The ARN for a short form such as users/home/alice/test.cf-create. */
export function thing(short) {
  if (short === '*' || short.startsWith('arn:')) return short
  const [head, ...rest] = short.split('/')
  const start = world.things[head]
  if (start === undefined) throw new Error(`"${short}": nothing is called ${head}`)
  if (rest.length === 0) return start
  return start.endsWith('/') || start.endsWith(':') ? start + rest.join('/') : `${start}/${rest.join('/')}`
}

function contextOf(group, row) {
  const likes = [...list(group.like), ...list(row.like)].map((name) => {
    if (!world.contexts[name]) throw new Error(`there is no context ${name}`)
    return world.contexts[name]
  })
  const text = (value) => (Array.isArray(value) ? value.map(String) : value === null ? null : String(value))
  const all = Object.assign({}, ...likes, group.with, row.with)
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, text(value)]))
}

function requestsOf(group, row, where) {
  const foreign = Object.keys(row).filter((word) => !rowWords.has(word))
  if (foreign.length > 0) throw new Error(`a row knows no ${foreign.join(', ')}`)
  const said = verdicts.filter((verdict) => verdict in row)
  if (said.length !== 1) throw new Error(`a row says one of ${verdicts.join(', ')}`)
  if (row.on === undefined) throw new Error('a row says what it is "on"')
  const why = row.why ?? group.why
  if (!why) throw new Error('a row, or its group, says why')
  const context = contextOf(group, row)
  // The resource has no policy of its own, as a bucket that the administrator brought.
  const unguarded = row.unguarded ?? group.unguarded ?? false
  const requests = []
  for (const who of people(row.who ?? group.who)) {
    for (const action of list(row[said[0]])) {
      for (const resource of list(row.on).map(thing))
        requests.push({ where, who, action, resource, context, unguarded, expected: said[0], why })
    }
  }
  return requests
}

function rowsOf(file, mistakes) {
  const rows = []
  for (const group of readYaml(file)) {
    const foreign = Object.keys(group).filter((word) => !groupWords.has(word))
    if (foreign.length > 0) mistakes.push(`${file}, "${group.group}": a group knows no ${foreign.join(', ')}`)
    group.rows.forEach((row, index) => {
      const where = `${file}, "${group.group}", row ${index + 1}`
      try {
        rows.push({ where, requests: requestsOf(group, row, where) })
      } catch (error) {
        mistakes.push(`${where}: ${error.message}`)
      }
    })
  }
  return rows
}

/** All rows, file by file. A row stands for one request or, where it lists several actions or things, for each of them. */
export function readTable() {
  const folder = 'tests/iam/table'
  const files = readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.yaml'))
    .sort()
  const mistakes = []
  const rows = files.flatMap((name) => rowsOf(`${folder}/${name}`, mistakes))
  if (mistakes.length === 0) return rows
  console.error(`The table cannot be read:\n${mistakes.join('\n')}`)
  process.exit(1)
}

/** A request in words. */
export function told({ who, action, resource, context, unguarded }) {
  const carried = Object.entries(context).map(([key, value]) => (value === null ? `no ${key}` : `${key}=${value}`))
  const where = `${resource}${unguarded ? ' (which has no policy of its own)' : ''}`
  return `${who} asks for ${action} on ${where}${carried.length > 0 ? ` with ${carried.join(', ')}` : ''}`
}
