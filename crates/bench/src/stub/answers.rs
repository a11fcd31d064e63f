//! What the stub says: a world in which alice has a profile and a ledger, and has just dropped an empty request.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};

/// The name of a call, and its answer.
pub fn to(head: &Parts, body: &str) -> (String, Response<Body>) {
    match form(body, "Action") {
        Some(action) if head.method == Method::POST => query(action, body),
        _ => s3(head),
    }
}

/// The query protocol of CloudFormation and SES.
fn query(action: &str, body: &str) -> (String, Response<Body>) {
    let subject = form(body, "StackName").unwrap_or_default();
    let (service, inside) = match action {
        "CreateStack" => ("cloudformation", format!("<CreateStackResult><StackId>{STACK}</StackId></CreateStackResult>")),
        "DescribeStacks" if subject.is_empty() => {
            ("cloudformation", "<DescribeStacksResult><Stacks></Stacks></DescribeStacksResult>".to_owned())
        }
        "DescribeStacks" => {
            let name = format!("cloudformation:{action} {subject}");
            let message = format!("Stack with id {subject} does not exist");
            let error = format!("<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>{message}</Message>");
            return (name, xml(StatusCode::BAD_REQUEST, format!("{error}</Error><RequestId>r</RequestId></ErrorResponse>")));
        }
        "SendEmail" => ("ses", "<SendEmailResult><MessageId>m</MessageId></SendEmailResult>".to_owned()),
        _ => return (format!("unknown:{action}"), xml(StatusCode::NOT_IMPLEMENTED, String::new())),
    };
    let name = format!("{service}:{action} {subject}");
    let answer = format!("<{action}Response>{inside}<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>");
    (name.trim_end().to_owned(), xml(StatusCode::OK, answer))
}

const STACK: &str = "arn:aws:cloudformation:eu-west-2:123456789012:stack/clusterdrop-alice-mycluster/0b2c1e90-c6c4-11f0-8000-0a1b2c3d4e5f";

fn s3(head: &Parts) -> (String, Response<Body>) {
    let path = head.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let asked = head.uri.query().unwrap_or_default();
    if head.method == Method::HEAD && bucket.is_empty() {
        return ("a connection".into(), xml(StatusCode::FORBIDDEN, String::new()));
    }
    if key.is_empty() && asked.contains("list-type=2") {
        let prefix = form(asked, "prefix").unwrap_or_default().replace("%2F", "/");
        return (format!("s3:ListObjectsV2 {bucket} {prefix}"), xml(StatusCode::OK, listing(bucket, &prefix)));
    }
    let operation = match head.method {
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::PUT => "PutObject",
        Method::DELETE => "DeleteObject",
        _ => "unknown",
    };
    (format!("s3:{operation} {bucket} {key}"), object(&head.method, key))
}

fn listing(bucket: &str, prefix: &str) -> String {
    let key = match prefix {
        _ if prefix.starts_with("home/") => format!("{prefix}create"),
        _ if prefix.starts_with("customizer/") => format!("{prefix}user.sh"),
        // Of ledgers there are none: nothing is for the sweep to look at.
        _ => return format!("<ListBucketResult><Name>{bucket}</Name><KeyCount>0</KeyCount></ListBucketResult>"),
    };
    format!(
        "<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>\
         <IsTruncated>false</IsTruncated><Contents><Key>{key}</Key><LastModified>2026-11-21T10:15:30.000Z</LastModified>\
         <ETag>{ETAG}</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"
    )
}

const ETAG: &str = "\"99914b932bd37a50b983c5e7c90ae93b\"";

fn object(method: &Method, key: &str) -> Response<Body> {
    let body = match *method {
        Method::GET if key.starts_with("ledger/") => r#"{"revision":7,"clusters":{}}"#,
        Method::GET if key.ends_with("user.sh") => "#!/bin/bash\n",
        Method::GET => "{}",
        _ => "",
    };
    let status = if method == Method::DELETE { StatusCode::NO_CONTENT } else { StatusCode::OK };
    let response = Response::builder().status(status).header("x-amz-request-id", "N4N7GDK58NMKJ12R").header("ETag", ETAG);
    let response = match *method {
        Method::GET | Method::HEAD => response
            .header("Content-Type", "application/octet-stream")
            .header("Last-Modified", "Sat, 21 Nov 2026 10:15:30 GMT")
            .header("x-amz-version-id", "L4kqtJlcpXroDTDmpUMLUo"),
        _ => response,
    };
    built(response.body(Body::from(body)))
}

fn xml(status: StatusCode, inside: String) -> Response<Body> {
    built(Response::builder().status(status).header("Content-Type", "text/xml").body(Body::from(inside)))
}

fn built(response: Result<Response<Body>, axum::http::Error>) -> Response<Body> {
    // All parts are constants that are legal; an empty answer would be seen as a failed run.
    response.unwrap_or_default()
}

/// A field of a form or a query string; what is asked here needs no decoding but of slashes.
fn form<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.split('&').find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='))
}
