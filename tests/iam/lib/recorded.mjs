// What AWS asks IAM for when a function calls it: one call of the API may need several permissions.

import { readYaml } from './tools.mjs'
import { world } from './policies.mjs'

const value = (name) => world.values[`AWS::${name}`]
const arn = (service, rest) => `arn:${value('Partition')}:${service}:${value('Region')}:${rest}`
const s3 = (bucket, key) => `arn:${value('Partition')}:s3:::${bucket}${key ? `/${key}` : ''}`
const request = (action, resource, context = {}) => ({ action, resource, context })

// A key that is not there is told as such only to those who may list: otherwise S3 says 403.
function reading({ bucket, key }, status) {
  const missing = status === 404 ? [request('s3:ListBucket', s3(bucket))] : []
  return [request('s3:GetObject', s3(bucket, key)), ...missing]
}

function writing(action, { bucket, key, conditional }) {
  return [request(action, s3(bucket, key)), ...(conditional ? [request('s3:GetObject', s3(bucket, key))] : [])]
}

// A stack that is not there, or not yet, has a name and no id.
function stackArn({ id, stack }) {
  if (id) return id
  return stack.startsWith('arn:') ? stack : arn('cloudformation', `${value('AccountId')}:stack/${stack}/none`)
}

function tagsOf(kind, tags) {
  return Object.fromEntries(Object.entries(tags ?? {}).map(([key, text]) => [`aws:${kind}/${key}`, text]))
}

function ofStack(action, asked) {
  return [request(action, stackArn(asked), tagsOf('ResourceTag', asked.resource_tags))]
}

function describing(asked) {
  if (asked.stack) return ofStack('cloudformation:DescribeStacks', asked)
  const all = arn('cloudformation', `${value('AccountId')}:stack/anybody/s`)
  return [request('cloudformation:DescribeStacks', all), request('cloudformation:ListStacks', '*')]
}

// https://BUCKET.s3.REGION.amazonaws.com/KEY or https://s3.REGION.amazonaws.com/BUCKET/KEY
function templateObject(url) {
  const { hostname, pathname } = new URL(url)
  const path = decodeURIComponent(pathname.slice(1))
  const [bucket, dot] = hostname.split('.s3.')
  return dot ? s3(bucket, path) : s3(...path.split(/\/(.*)/s))
}

// CloudFormation resolves the parameters of the template that name a parameter of SSM, as the caller.
function imageParameters() {
  const { Parameters: parameters } = readYaml('templates/cluster.yaml')
  const named = Object.values(parameters).filter((p) => p.Type.startsWith('AWS::SSM::Parameter::Value'))
  if (named.length === 0) throw new Error('templates/cluster.yaml resolves no image any more: neither should the policies')
  return named.map((p) => request('ssm:GetParameters', `arn:${value('Partition')}:ssm:${value('Region')}::parameter${p.Default}`))
}

function creating(asked) {
  const tags = { ...tagsOf('RequestTag', asked.tags), 'aws:TagKeys': Object.keys(asked.tags) }
  const create = { ...tags }
  if (asked.role) create['cloudformation:RoleArn'] = asked.role
  if (asked.template) create['cloudformation:TemplateUrl'] = asked.template
  return [
    request('cloudformation:CreateStack', stackArn(asked), create),
    request('cloudformation:TagResource', stackArn(asked), { ...tags, 'cloudformation:CreateAction': 'CreateStack' }),
    ...(asked.role ? [request('iam:PassRole', asked.role, { 'iam:PassedToService': 'cloudformation.amazonaws.com' })] : []),
    ...(asked.template ? [request('s3:GetObject', templateObject(asked.template))] : []),
    ...imageParameters()
  ]
}

function mailing({ from, to }) {
  return [request('ses:SendEmail', arn('ses', `${value('AccountId')}:identity/${from}`), { 'ses:FromAddress': from, 'ses:Recipients': to })]
}

const calls = {
  's3.GetObject': (asked, status) => reading(asked, status),
  's3.HeadObject': (asked, status) => reading(asked, status),
  's3.PutObject': (asked) => writing('s3:PutObject', asked),
  's3.DeleteObject': (asked) => writing('s3:DeleteObject', asked),
  's3.ListObjectsV2': ({ bucket, prefix }) => [request('s3:ListBucket', s3(bucket), prefix === undefined ? {} : { 's3:prefix': prefix })],
  'cloudformation.CreateStack': creating,
  'cloudformation.DeleteStack': (asked) => ofStack('cloudformation:DeleteStack', asked),
  'cloudformation.DescribeStacks': describing,
  'cloudformation.DescribeStackEvents': (asked) => ofStack('cloudformation:DescribeStackEvents', asked),
  'cloudformation.ListStackResources': (asked) => ofStack('cloudformation:ListStackResources', asked),
  'ses.SendEmail': mailing
}

/** The requests to IAM that a recorded call stands for; none where such calls are not known. */
export function requestsOf({ call, asked, status }) {
  return calls[call]?.(asked, status)
}
