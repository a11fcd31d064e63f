//! AWS's answers beside S3, by a server that gives them.

use super::*;
use crate::fake_http::{Answer, Request, Server, configuration};

const HASTE: Patience = Patience { pause: Duration::ZERO, identity: Duration::ZERO, secret: Duration::from_secs(30), signals: 4 };

async fn aws(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> (Aws, Server) {
    let server = Server::start(answer).await;
    (Aws::new(&configuration(&server.url).await, None, HASTE), server)
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
    Answer::Whole(status, vec![], body.into_bytes())
}

fn done() -> Answer {
    Answer::Whole(200, vec![], b"<SignalResourceResponse></SignalResourceResponse>".to_vec())
}

/// As CloudFormation words it.
const LATE: &str = "Stack arn:stack is in CREATE_COMPLETE state and cannot be signaled";
const KNOWN: &str = "Signal with ID i-1 for resource LoginNode already exists. Signals may only be updated with a FAILURE status.";

const READY: Signal<'_> = Signal { id: "i-1", ready: true, may_have_arrived: false };

async fn signal(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Result<(), SignalError>, Server) {
    give(READY, answer).await
}

async fn give(signal: Signal<'_>, answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Result<(), SignalError>, Server) {
    let (aws, server) = aws(move |number, _| answer(number)).await;
    (aws.signal("arn:stack", "LoginNode", &signal).await, server)
}

#[tokio::test]
async fn a_signal_names_stack_resource_id_and_status() {
    let (aws, server) = aws(|_, _| done()).await;
    aws.signal("arn:stack", "LoginNode", &Signal { id: &"x".repeat(65), ready: false, may_have_arrived: false }).await.unwrap();
    let body = String::from_utf8(server.asked()[0].body.clone()).unwrap();
    let id = format!("UniqueId={}&", "x".repeat(64));
    for part in ["Action=SignalResource", "StackName=arn%3Astack", "LogicalResourceId=LoginNode", id.as_str(), "Status=FAILURE"] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn a_role_that_is_not_known_yet_is_tried_again_and_not_for_ever() {
    let (result, server) = signal(|number| if number < 3 { refusal(403, "AccessDenied", "not yet") } else { done() }).await;
    assert_eq!((result, server.asked().len()), (Ok(()), 4));
    let (result, server) = signal(|_| refusal(403, "AccessDenied", "never")).await;
    let never = SignalError { error: CloudError::Denied("AccessDenied: never".into()), may_have_arrived: false };
    assert_eq!((result, server.asked().len()), (Err(never), 4));
    let (result, server) = signal(|_| refusal(503, "ServiceUnavailable", "")).await;
    assert!(matches!(result, Err(SignalError { error: CloudError::Unreachable(_), may_have_arrived: true })));
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_signal_whose_answer_was_lost_and_that_the_stack_has_taken_is_a_success() {
    for lost in [Answer::Silence, Answer::Cut(200, b"<Signal".to_vec(), 3), refusal(500, "InternalFailure", "")] {
        let (result, _server) = signal(move |number| if number == 0 { lost.clone() } else { refusal(400, "ValidationError", LATE) }).await;
        assert_eq!(result, Ok(()));
    }
    // Also one that an agent sent before it was ended.
    let (result, _server) = signal(|_| refusal(400, "ValidationError", KNOWN)).await;
    assert_eq!(result, Ok(()));
    // The stack has gone on by it.
    let again = Signal { may_have_arrived: true, ..READY };
    let (result, server) = give(again, |_| refusal(400, "ValidationError", LATE)).await;
    assert_eq!((result, server.asked().len()), (Ok(()), 1));
    let (result, _server) = give(again, |_| refusal(400, "ValidationError", "Stack [arn:stack] does not exist")).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn a_stack_that_does_not_wait_is_no_success_and_not_asked_again() {
    for message in [LATE, "Stack [arn:stack] does not exist", "1 validation error detected"] {
        let (result, server) = signal(move |_| refusal(400, "ValidationError", message)).await;
        assert!(result.is_err(), "{message}");
        assert_eq!(server.asked().len(), 1, "{message}");
    }
    // One that was refused for another reason before was not taken.
    let throttled = |number| if number == 0 { refusal(400, "Throttling", "Rate exceeded") } else { refusal(400, "ValidationError", LATE) };
    assert!(signal(throttled).await.0.is_err());
}

fn secret_error(kind: &str) -> Answer {
    let body = format!("{{\"__type\": \"{kind}\", \"Message\": \"words\"}}");
    Answer::Whole(400, vec![("content-type", "application/x-amz-json-1.1".into())], body.into_bytes())
}

#[tokio::test]
async fn the_secret_is_waited_for_while_the_role_is_new_and_not_if_there_is_none() {
    let text = |body: &str| Answer::Whole(200, vec![("content-type", "application/x-amz-json-1.1".into())], body.into());
    let there = text(r#"{"ARN": "arn:secret", "SecretString": "0123"}"#);
    let (aws, server) = aws(move |number, _| if number < 3 { secret_error("AccessDeniedException") } else { there.clone() }).await;
    assert_eq!(aws.secret("arn:secret").await, Ok("0123".into()));
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert!(String::from_utf8_lossy(&asked[0].body).contains("\"SecretId\":\"arn:secret\""));

    let (aws, server) = self::aws(|_, _| secret_error("ResourceNotFoundException")).await;
    assert!(matches!(aws.secret("arn:secret").await, Err(CloudError::Missing(_))));
    assert_eq!(server.asked().len(), 1);
    let binary = text(r#"{"ARN": "arn:secret", "SecretBinary": "AAAA"}"#);
    let (aws, _server) = self::aws(move |_, _| binary.clone()).await;
    assert_eq!(aws.secret("arn:secret").await, Err(CloudError::Missing("arn:secret has no text".into())));
}

#[tokio::test]
async fn a_secret_that_stays_refused_is_given_up_in_time() {
    let server = Server::start(|_, _| secret_error("AccessDeniedException")).await;
    let patience = Patience { secret: Duration::from_millis(40), pause: Duration::from_millis(10), ..HASTE };
    let aws = Aws::new(&configuration(&server.url).await, None, patience);
    assert_eq!(aws.secret("arn:secret").await, Err(CloudError::Denied("AccessDeniedException: words".into())));
    assert!((2..=5).contains(&server.asked().len()), "{}", server.asked().len());
}

#[tokio::test]
async fn a_node_without_another_way_out_reaches_aws_through_the_proxy_by_connect() {
    let proxy = Server::start(|_, _| Answer::Whole(403, vec![], vec![])).await;
    let wire = Wire::through(&proxy.url).unwrap();
    let config = configuration("https://secretsmanager.eu-west-2.amazonaws.com").await;
    let aws = Aws::new(&config, Some(wire), Patience { secret: Duration::ZERO, pause: Duration::from_secs(1), ..HASTE });
    assert!(matches!(aws.secret("arn:secret").await, Err(CloudError::Unreachable(_))));
    assert_eq!(proxy.lines()[0], "CONNECT secretsmanager.eu-west-2.amazonaws.com:443");
    assert!(Wire::through("no address").unwrap_err().to_string().contains("is not the address of a proxy"));
}

#[tokio::test]
async fn the_machine_is_known_by_metadata_that_are_asked_for_with_a_token() {
    let server = Server::start(|_, request| match request.line.as_str() {
        "PUT /latest/api/token" => Answer::Whole(200, vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".into())], b"token".to_vec()),
        _ if request.header("x-aws-ec2-metadata-token") != "token" => Answer::Whole(401, vec![], vec![]),
        "GET /latest/meta-data/instance-id" => Answer::object(b"i-0123456789abcdef0"),
        "GET /latest/meta-data/local-ipv4" => Answer::object(b"10.1.2.3\n"),
        "GET /latest/meta-data/mac" => Answer::object(b"02:29:96:8f:6a:2d"),
        "GET /latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d/vpc-ipv4-cidr-blocks" => {
            Answer::object(b"172.31.0.0/16\n203.0.112.0/20\n")
        }
        _ => Answer::Whole(404, vec![], vec![]),
    })
    .await;
    let mut aws = Aws::new(&configuration(&server.url).await, None, HASTE);
    aws.imds = metadata_client(Some(&server.url));
    let expected = Identity { instance: "i-0123456789abcdef0".into(), address: "10.1.2.3".parse().unwrap() };
    assert_eq!(aws.identity().await, Ok(expected));
    let networks = aws.networks().await.unwrap();
    let holds = |address: &str| networks.iter().any(|network| network.holds(address.parse().unwrap()));
    assert!(holds("203.0.127.255") && holds("172.31.0.1") && !holds("203.0.128.1"), "{networks:?}");
    let odd = Server::start(|_, request| match request.line.as_str() {
        "PUT /latest/api/token" => Answer::Whole(200, vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".into())], b"token".to_vec()),
        _ => Answer::object(b"<html>a portal</html>"),
    })
    .await;
    aws.imds = metadata_client(Some(&odd.url));
    assert!(matches!(aws.identity().await, Err(CloudError::Unreachable(why)) if why.contains("no instance id")));
    assert!(matches!(aws.networks().await, Err(CloudError::Unreachable(why)) if why.contains("no networks")));
}

#[tokio::test]
async fn a_spot_machine_reads_of_its_end_in_its_metadata_and_of_nothing_before() {
    let server = Server::start(|number, request| match request.line.as_str() {
        "PUT /latest/api/token" => Answer::Whole(200, vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".into())], b"token".to_vec()),
        _ if request.header("x-aws-ec2-metadata-token") != "token" => Answer::Whole(401, vec![], vec![]),
        "GET /latest/meta-data/spot/instance-action" if number < 3 => Answer::Whole(404, vec![], vec![]),
        "GET /latest/meta-data/spot/instance-action" => Answer::object(br#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#),
        _ => Answer::Whole(500, vec![], vec![]),
    })
    .await;
    let mut aws = Aws::new(&configuration(&server.url).await, None, HASTE);
    aws.imds = metadata_client(Some(&server.url));
    assert_eq!(aws.interruption().await, Ok(None));
    assert_eq!(aws.interruption().await, Ok(None));
    assert!(aws.interruption().await.unwrap().unwrap().contains("2017-09-18T08:22:00Z"));
    assert_eq!(server.asked().len(), 4, "one token, and one call for each look");
}
