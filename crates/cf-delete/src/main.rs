//! cf-delete: takes uploads of .cf-delete. It may remove stacks, and start none.

use cf_core::settings::Function;
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cf_aws::function::run(Function::Delete).await
}
