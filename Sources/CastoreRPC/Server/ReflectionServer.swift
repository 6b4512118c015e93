import CastoreProtos
package import GRPCCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `grpc.reflection.v1` and the older `v1alpha`: what the server offers, for tools that ask.
package struct ReflectionServer: RegistrableRPCService {
  /// The full names of both services.
  package static let names = [
    "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
  ]

  private let index: DescriptorIndex
  private let services: [String]

  /// Tells of services, given by their full names.
  package init(services: [String]) throws {
    index = try DescriptorIndex()
    self.services = services.sorted()
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    for name in Self.names {
      router.registerHandler(
        forMethod: MethodDescriptor(fullyQualifiedService: name, method: "ServerReflectionInfo"),
        deserializer: ProtobufCodec<ProtoServerReflectionRequest>(),
        serializer: ProtobufCodec<ProtoServerReflectionResponse>()
      ) { request, _ in
        StreamingServerResponse { writer in
          for try await question in request.messages { try await writer.write(answer(question)) }
          return [:]
        }
      }
    }
  }

  private func answer(_ question: ProtoServerReflectionRequest) -> ProtoServerReflectionResponse {
    var response = ProtoServerReflectionResponse()
    response.validHost = question.host
    response.originalRequest = question
    switch question.messageRequest {
    case .fileByFilename(let name):
      response.messageResponse = files(index.files(named: name), "no file \"\(name)\"")
    case .fileContainingSymbol(let symbol):
      response.messageResponse = files(index.files(declaring: symbol), "no symbol \"\(symbol)\"")
    case .fileContainingExtension, .allExtensionNumbersOfType:
      response.messageResponse = .errorResponse(Self.error(.notFound, "there are no extensions"))
    case .listServices:
      response.messageResponse = .listServicesResponse(
        .with { list in list.service = services.map { name in .with { $0.name = name } } }
      )
    case nil:
      response.messageResponse = .errorResponse(
        Self.error(.invalidArgument, "the request asks for nothing")
      )
    }
    return response
  }

  private func files(
    _ files: [[UInt8]]?,
    _ complaint: String
  ) -> ProtoServerReflectionResponse.OneOf_MessageResponse {
    guard let files else { return .errorResponse(Self.error(.notFound, complaint)) }
    return .fileDescriptorResponse(.with { $0.fileDescriptorProto = files.map { Data($0) } })
  }

  private static func error(_ code: Status.Code, _ message: String) -> ProtoErrorResponse {
    .with {
      $0.errorCode = Int32(code.rawValue)
      $0.errorMessage = message
    }
  }
}
