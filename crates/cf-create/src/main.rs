//! cf-create: takes uploads of .cf-create. It may start stacks, and remove none.

use cf_core::settings::Function;
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cf_aws::function::run(Function::Create).await
}
