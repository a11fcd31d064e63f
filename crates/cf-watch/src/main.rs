//! cf-watch: takes what CloudFormation reports, what failed elsewhere, and the sweep.

use cf_core::settings::Function;
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cf_aws::function::run(Function::Watch).await
}
