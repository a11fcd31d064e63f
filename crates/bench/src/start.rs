//! A start that goes wrong: what opens connections before the first event may neither fail nor hold it up.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;

use crate::lambda::Function;
use crate::subject::Subject;

/// Starts the function where AWS does not answer, and where its certificate is of another root than Amazon's.
pub async fn wrong(create: &Subject) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    // Who connects is left waiting in the queue of a socket that nobody looks after.
    let silent = TcpListener::bind(("127.0.0.1", 0))?;
    for (what, port) in [("refuses connections", 1), ("never answers", silent.local_addr()?.port())] {
        let mut elsewhere = create.clone();
        elsewhere.environment.insert("AWS_ENDPOINT_URL", format!("https://127.0.0.1:{port}"));
        if let Err(error) = Function::start(&elsewhere, None, &[]).await?.ready().await {
            wrong.push(format!("cf-create does not start where AWS {what}: {error:#}"));
        }
    }
    if let Err(error) = unknown_root(create).await {
        wrong.push(format!("a certificate that the platform's roots vouch for, but Amazon's do not, is refused: {error:#}"));
    }
    println!("  cf-create starts where AWS does not answer, and takes the platform's word for other roots than Amazon's");
    Ok(wrong)
}

/// Without a word of whom to believe, Amazon's roots come first. The stub's certificate is not of them; the platform's store,
/// which is a folder here, has it.
async fn unknown_root(create: &Subject) -> Result<()> {
    let mut told = create.clone();
    let certificate = told.environment.remove("AWS_CA_BUNDLE").unwrap_or_default();
    told.environment.remove("SSL_CERT_FILE");
    let folder = Path::new(&certificate).with_file_name("certificate");
    told.environment.insert("SSL_CERT_DIR", folder.display().to_string());
    let mut function = Function::start(&told, None, &[]).await?;
    function.ready().await?;
    function.invoke(told.event).await?;
    Ok(())
}
