use super::*;

const SQS: &str = "http://127.0.0.1:8083";

fn parse(text: &str) -> Result<Template> {
    Template::parse(text, SQS)
}

fn error(text: &str) -> String {
    format!("{:#}", parse(text).expect_err("a mistake"))
}

const FUNCTION: &str = r#"
  PostLog:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: post-log } }
    Properties:
      CodeUri: functions/post-log
"#;

const WHOLE: &str = r#"
Parameters:
  Days: { Type: Number, Default: 30 }
Globals:
  Function:
    Timeout: 15
    Environment: { Variables: { STAGE: test } }
Resources:
  Api: { Type: AWS::Serverless::HttpApi }
  PostLog:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: post-log } }
    Properties:
      Events:
        Route: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: post, Path: "/log" } }
        Again: { Type: SQS, Properties: { Queue: !GetAtt Retry.Arn } }
      Environment:
        Variables:
          TABLE: !Ref Events
          BUCKET: { Ref: LogBucket }
          QUEUE: !Ref Retry
          QUEUE_ARN: !GetAtt Retry.Arn
          TABLE_ARN: { "Fn::GetAtt": [Events, Arn] }
          EVERYTHING: !Sub "${LogBucket.Arn}/${AWS::Region}/${!literal}/*"
          DAYS: !Ref Days
          GONE: plain
          SITE: !If [HasSite, !GetAtt Site.DomainName, "no site"]
  GetLogs:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: get-logs } }
    Properties:
      Timeout: 5
      Events:
        Route: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/logs/{agent_id}/{user_id}" } }
      Environment: { Variables: { BUCKET: !Ref LogBucket } }
  Retry:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
  Dead: { Type: AWS::SQS::Queue }
  Events:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: user_id, AttributeType: S }]
      KeySchema: [{ AttributeName: user_id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }
  LogBucket: { Type: AWS::S3::Bucket, Properties: { AccessControl: !If [A, B, C] } }
"#;

#[test]
fn names_are_local_wherever_the_template_refers_to_a_resource() {
    let template = parse(WHOLE).expect("a template");
    let post_log = template.functions.iter().find(|function| function.name == "post-log").expect("post-log");
    let expected = [
        ("BUCKET", "signals-logbucket"),
        ("DAYS", "30"),
        ("EVERYTHING", "arn:aws:s3:::signals-logbucket/us-east-1/${literal}/*"),
        ("GONE", "plain"),
        ("QUEUE", "http://127.0.0.1:8083/000000000000/signals-Retry"),
        ("QUEUE_ARN", "arn:aws:sqs:us-east-1:000000000000:signals-Retry"),
        ("SITE", "no site"),
        ("STAGE", "test"),
        ("TABLE", "signals-Events"),
        ("TABLE_ARN", "arn:aws:dynamodb:us-east-1:000000000000:table/signals-Events"),
    ];
    assert_eq!(post_log.environment, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[test]
fn only_what_the_http_api_sends_is_a_route() {
    let template = parse(WHOLE).expect("a template");
    let routes: Vec<_> =
        template.functions.iter().map(|function| (function.name.as_str(), &function.routes[..])).collect();
    let route = |method: &str, path: &str| [Route { method: method.to_owned(), path: path.to_owned() }];
    let expected =
        [("get-logs", &route("GET", "/logs/{agent_id}/{user_id}")[..]), ("post-log", &route("POST", "/log")[..])];
    for function in expected {
        assert!(routes.contains(&function), "{function:?} in {routes:?}");
    }
    assert_eq!(routes.len(), expected.len());
}

#[test]
fn a_functions_own_timeout_comes_before_the_one_of_all() {
    let template = parse(WHOLE).expect("a template");
    let seconds: BTreeMap<_, _> =
        template.functions.iter().map(|function| (function.name.as_str(), function.timeout.as_secs())).collect();
    assert_eq!(seconds, [("get-logs", 5), ("post-log", 15)].into());
    let alone = parse(&format!("Resources:\n{FUNCTION}")).expect("a template");
    assert_eq!(alone.functions[0].timeout.as_secs(), 3);
}

#[test]
fn a_table_has_its_keys_its_stream_and_its_time_to_live() {
    let template = parse(WHOLE).expect("a template");
    let [table] = &template.tables[..] else { panic!("{:?}", template.tables) };
    assert_eq!(
        table.definition,
        json!({
            "TableName": "signals-Events",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "user_id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "user_id", "KeyType": "HASH" }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        })
    );
    assert_eq!(table.time_to_live.as_deref(), Some("expires_at"));
}

#[test]
fn a_dead_letter_queue_comes_before_the_queue_that_needs_it() {
    let template = parse(WHOLE).expect("a template");
    let names: Vec<_> = template.queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["signals-Dead", "signals-Retry"]);
    let attributes = &template.queues[1].attributes;
    assert_eq!(attributes["VisibilityTimeout"], "90");
    let policy: Value = serde_json::from_str(&attributes["RedrivePolicy"]).expect("JSON");
    assert_eq!(
        policy,
        json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:signals-Dead", "maxReceiveCount": 3 })
    );
}

#[test]
fn an_intrinsic_that_cannot_be_answered_is_named_with_its_place() {
    let with = |value: &str| {
        error(&format!(
            "Resources:\n  Api: {{ Type: AWS::Serverless::HttpApi }}\n{FUNCTION}      Environment: {{ Variables: {{ X: {value} }} }}\n"
        ))
    };
    let place = "Resources.PostLog.Properties.Environment.Variables.X: ";
    for (value, reason) in [
        ("!ImportValue other", "Fn::ImportValue with \"other\" cannot be answered on a laptop"),
        ("!Ref Nothing", "nothing is named Nothing in the template"),
        ("!Ref Api", "!Ref Api: a AWS::Serverless::HttpApi does not exist on a laptop"),
        ("!GetAtt PostLog.Arn", "!GetAtt PostLog.Arn: this attribute of a AWS::Serverless::Function does not exist"),
        ("!Sub \"${Open\"", "a brace is not closed"),
        ("[a]", "expected text, found [\"a\"]"),
    ] {
        let message = with(value);
        assert!(message.starts_with(place) && message.contains(reason), "{value}: {message}");
    }
}

#[test]
fn functions_that_contradict_each_other_are_refused() {
    let other = FUNCTION.replace("PostLog", "GetLogs").replace("post-log", "get-logs");
    let variables = |value: &str| format!("      Environment: {{ Variables: {{ MODE: {value} }} }}\n");
    let text = format!("Resources:\n{FUNCTION}{}{other}{}", variables("a"), variables("b"));
    let message = format!("{:#}", parse(&text).expect("a template").environment().expect_err("a contradiction"));
    assert!(message.contains("MODE") && message.contains("\"a\"") && message.contains("\"b\""), "{message}");
    let agreed = text.replace("MODE: b", "MODE: a");
    assert_eq!(parse(&agreed).expect("a template").environment().expect("no contradiction")["MODE"], "a");
}

#[test]
fn a_function_without_a_binary_is_refused() {
    let text = "Resources:\n  A:\n    Type: AWS::Serverless::Function\n";
    assert!(error(text).contains("Resources.A: Metadata.BuildProperties.Binary is missing"), "{}", error(text));
}

#[test]
fn text_that_is_no_template_is_refused() {
    assert!(error("Resources: [").contains("the template is not valid YAML"));
    assert!(error("{}").contains("no AWS::Serverless::Function"));
    assert!(error("Resources:\n  A: {}\n").contains("Resources.A: Type is missing"));
}
